"""Small Llamas as transformers saves them, with a tokenizer, in bfloat16 and in several files.

Usage: llama_directories.py FOLDER > answer.json
"""

import json
import os
import sys

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

BEGIN, END = "<|begin_of_text|>", "<|end_of_text|>"


def tokenizer():
    tokens = [BEGIN, END, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    bytes_only = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=[]))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    bytes_only.post_processor = processors.TemplateProcessing(single=f"{BEGIN} $A", special_tokens=[(BEGIN, 0)])
    return PreTrainedTokenizerFast(tokenizer_object=bytes_only, bos_token=BEGIN, eos_token=END)


def save(directory, tied):
    torch.manual_seed(int(tied))
    config = LlamaConfig(
        vocab_size=260,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=32,
        tie_word_embeddings=tied,
        bos_token_id=0,
        eos_token_id=1,
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 500_000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16,
        },
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(directory, max_shard_size="8KB")
    tokenizer().save_pretrained(directory)
    with open(os.path.join(directory, "config.json"), encoding="utf-8") as file:
        dtype = json.load(file).get("dtype")
    return {"files": sorted(os.listdir(directory)), "dtype": f"torch.{dtype}"}


folder = sys.argv[1]
names = {"llama-tied": True, "llama-untied": False}
json.dump({name: save(os.path.join(folder, name), tied) for name, tied in names.items()}, sys.stdout)
