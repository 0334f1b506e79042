"""The answers of transformers to requests of checkpoint directories, for test/ml/inference/transformers-requests.ts.

Usage: inference.py < requests.json > answers.json
Request, one of:
  {"kind": "generate", "directory": str, "prompt": str, "tokens": int, "penalty": float}
  {"kind": "fill-mask", "directory": str, "text": str, "top": int}
  {"kind": "loss", "directory": str, "text": str}: every token but the first, in windows of the context
"""

import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer, pipeline

torch.set_num_threads(1)


def generate(request):
    tokenizer = AutoTokenizer.from_pretrained(request["directory"])
    model = AutoModelForCausalLM.from_pretrained(request["directory"])
    inputs = tokenizer(request["prompt"], return_tensors="pt", return_token_type_ids=False)
    ids = model.generate(
        **inputs,
        max_new_tokens=request["tokens"],
        do_sample=False,
        repetition_penalty=request["penalty"],
        pad_token_id=0,
    )
    return tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :])


def fill_mask(request):
    tokenizer = AutoTokenizer.from_pretrained(request["directory"])
    model = AutoModelForMaskedLM.from_pretrained(request["directory"])
    guesses = pipeline("fill-mask", model=model, tokenizer=tokenizer)(request["text"], top_k=request["top"])
    masks = guesses if isinstance(guesses[0], list) else [guesses]
    return [[{"text": g["token_str"], "probability": g["score"]} for g in mask] for mask in masks]


@torch.no_grad()
def loss(request):
    tokenizer = AutoTokenizer.from_pretrained(request["directory"])
    model = AutoModelForCausalLM.from_pretrained(request["directory"]).eval()
    ids = torch.tensor(tokenizer(request["text"])["input_ids"])
    context = model.config.max_position_embeddings
    total = 0.0
    for start in range(0, len(ids) - 1, context):
        window = ids[start : start + context + 1]
        logits = model(window[None, :-1]).logits[0]
        total += torch.nn.functional.cross_entropy(logits, window[1:], reduction="sum").item()
    return total / (len(ids) - 1)


kinds = {"generate": generate, "fill-mask": fill_mask, "loss": loss}
json.dump([kinds[request["kind"]](request) for request in json.load(sys.stdin)], sys.stdout)
