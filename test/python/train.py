"""Trains a checkpoint directory in PyTorch, for test/worker/adamw-transformers.test.ts; prints the loss of each step.

Usage: train.py < request.json > losses.json
Request: {"directory": str, "optimizer": {...}, "batches": [{"inputs": [[int]], "targets": [[int]]}]}
"""

import json
import sys

import torch
from transformers import AutoModelForCausalLM

torch.set_num_threads(1)
request = json.load(sys.stdin)
spec = request["optimizer"]
model = AutoModelForCausalLM.from_pretrained(request["directory"])
model.eval()
parameters = list(model.parameters())
optimizer = torch.optim.AdamW(
    [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": spec["weightDecay"]},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ],
    lr=spec["learningRate"],
    betas=(spec["beta1"], spec["beta2"]),
    eps=spec["epsilon"],
)

losses = []
for batch in request["batches"]:
    logits = model(torch.tensor(batch["inputs"])).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.tensor(batch["targets"]).flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())

json.dump(losses, sys.stdout)
