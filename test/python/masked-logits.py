"""Logits of masked language models by transformers, and whether their encoder is another directory's.

Usage: masked-logits.py < request.json > answer.json
Request: {"directory": str, "original": str, "text": str}
"""

import json
import sys

import torch
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

request = json.load(sys.stdin)
tokenizer = AutoTokenizer.from_pretrained(request["directory"])
ids = tokenizer(request["text"])["input_ids"]
model, loading = AutoModelForMaskedLM.from_pretrained(request["directory"], output_loading_info=True)
model.eval()
before = dict(AutoModel.from_pretrained(request["original"], dtype=torch.float32).named_parameters())
after = {name.removeprefix("bert."): p for name, p in model.named_parameters() if name.startswith("bert.")}
with torch.no_grad():
    logits = model(torch.tensor([ids])).logits[0]
json.dump(
    {
        "ids": ids,
        "problems": sorted([*loading["missing_keys"], *loading["unexpected_keys"]]),
        "changed": sorted(name for name, p in after.items() if not torch.equal(p, before[name])),
        "logits": logits.flatten().tolist(),
    },
    sys.stdout,
)
