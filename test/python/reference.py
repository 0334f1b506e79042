"""What Hugging Face's transformers and PyTorch make of a checkpoint directory, for test/worker/transformers.test.ts.

Usage: reference.py DIRECTORY < request.json > answer.json
Request: {"text": str, "inputs": [[int]], "targets": [[int]]}
"""

import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

directory = sys.argv[1]
request = json.load(sys.stdin)
torch.set_num_threads(1)

tokenizer = AutoTokenizer.from_pretrained(directory)
model, loading = AutoModelForCausalLM.from_pretrained(directory, output_loading_info=True)
model.eval()

logits = model(torch.tensor(request["inputs"])).logits
targets = torch.tensor(request["targets"])
loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
loss.backward()
ids = tokenizer(request["text"])["input_ids"]

json.dump(
    {
        "architecture": type(model).__name__,
        "missing": sorted(loading["missing_keys"]),
        "unexpected": sorted(loading["unexpected_keys"]),
        "mismatched": sorted(map(str, loading["mismatched_keys"])),
        "logits": logits.flatten().tolist(),
        "loss": loss.item(),
        "gradients": {name: p.grad.flatten().tolist() for name, p in model.named_parameters()},
        "ids": ids,
        "decoded": tokenizer.decode(ids),
    },
    sys.stdout,
)
