"""Runs torch.optim on the problem given as JSON on standard input; prints each optimizer's final parameters."""

import json
import sys

import torch

problem = json.load(sys.stdin)
gradients = [torch.tensor(g, dtype=torch.float64) for g in problem["gradients"]]
decays = torch.tensor(problem["decays"])


def make(spec, groups):
    lr = spec["learningRate"]
    if spec["type"] in ("adam", "adamw"):
        kind = torch.optim.Adam if spec["type"] == "adam" else torch.optim.AdamW
        return kind(groups, lr=lr, betas=(spec["beta1"], spec["beta2"]), eps=spec["epsilon"])
    nesterov = spec["type"] == "nesterov"
    return torch.optim.SGD(groups, lr=lr, momentum=spec.get("momentum", 0), nesterov=nesterov)


def train(spec):
    start = torch.tensor(problem["parameters"], dtype=torch.float64)
    matrices, vectors = (start[mask].clone().requires_grad_() for mask in (decays, ~decays))
    optimizer = make(
        spec,
        [
            {"params": [matrices], "weight_decay": spec["weightDecay"]},
            {"params": [vectors], "weight_decay": 0.0},
        ],
    )
    for gradient in gradients:
        matrices.grad, vectors.grad = gradient[decays], gradient[~decays]
        optimizer.step()
    result = torch.empty_like(start)
    result[decays], result[~decays] = matrices.detach(), vectors.detach()
    return result.tolist()


print(json.dumps([train(spec) for spec in problem["optimizers"]]))
