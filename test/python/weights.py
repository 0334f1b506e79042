"""Loads pairs of model directories with transformers and compares their weights.

Usage: weights.py < request.json > answer.json
Request: [{"auto": "AutoModelForCausalLM", "before": DIRECTORY, "after": DIRECTORY}]
"""

import json
import sys

import torch
import transformers

answers = []
for request in json.load(sys.stdin):
    auto = getattr(transformers, request["auto"])
    before = auto.from_pretrained(request["before"], dtype=torch.float32)
    # Nothing is asked of this one: the directory itself must say what it is.
    after, loading = auto.from_pretrained(request["after"], output_loading_info=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(request["after"])
    old = dict(before.named_parameters())
    answers.append(
        {
            "architecture": type(after).__name__,
            "problems": sorted(
                [*loading["missing_keys"], *loading["unexpected_keys"], *map(str, loading["mismatched_keys"])]
            ),
            "dtype": str(after.dtype),
            "same": {name: torch.equal(p, old[name]) for name, p in after.named_parameters()},
            "ids": tokenizer("science")["input_ids"],
        }
    )
json.dump(answers, sys.stdout)
