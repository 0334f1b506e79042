"""What transformers reads in configs, and which activations are the same function, for test/ml/models/config-reference.ts.

Usage: configs.py < configs.json > answers.json
Request: [{"model_type": str, ...}]
Answer: {"configs": [fields | null], "activations": {"gelu_new": [names], "gelu": [names], "silu": [names]}}
"""

import json
import sys
import tempfile

import torch
from transformers import AutoConfig
from transformers.activations import ACT2FN

FIELDS = {
    "gpt2": "vocab_size n_positions n_embd n_layer n_head n_inner activation_function layer_norm_epsilon "
    "bos_token_id eos_token_id pad_token_id tie_word_embeddings",
    "llama": "vocab_size max_position_embeddings hidden_size intermediate_size num_hidden_layers "
    "num_attention_heads num_key_value_heads head_dim rms_norm_eps initializer_range rope_parameters "
    "bos_token_id eos_token_id pad_token_id tie_word_embeddings",
    "bert": "vocab_size max_position_embeddings hidden_size intermediate_size num_hidden_layers "
    "num_attention_heads type_vocab_size layer_norm_eps initializer_range bos_token_id eos_token_id pad_token_id",
}


def read(config):
    with tempfile.TemporaryDirectory() as directory:
        with open(f"{directory}/config.json", "w") as file:
            json.dump(config, file)
        try:
            found = AutoConfig.from_pretrained(directory).to_dict()
        except Exception:
            return None
        return {field: found[field] for field in FIELDS[config["model_type"]].split()}


def same(name):
    x = torch.linspace(-12, 12, 9601, dtype=torch.float64)
    wanted = ACT2FN[name](x)
    names = [other for other in ACT2FN if other not in ("prelu", "xielu")]
    return [other for other in names if torch.allclose(ACT2FN[other](x), wanted, rtol=1e-5, atol=1e-8)]


activations = {name: same(name) for name in ("gelu_new", "gelu", "silu")}
json.dump({"configs": [read(config) for config in json.load(sys.stdin)], "activations": activations}, sys.stdout)
