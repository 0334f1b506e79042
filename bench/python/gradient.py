"""PyTorch's side of bench/model.ts: a GPT-2 gradient step, driven line by line over stdin and stdout.

Usage: gradient.py LAYERS HEADS WIDTH CONTEXT VOCABULARY BATCH THREADS
Prints {"ready": version}; for each line with a number of steps {"ms": [...], "loss": number}; at the end of its
input {"peakMb": number}.
"""

import json
import resource
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

layers, heads, width, context, vocabulary, batch, threads = map(int, sys.argv[1:])
torch.set_num_threads(threads)
torch.manual_seed(1)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        shape = (batch, context, heads, width // heads)
        q, k, v = (part.view(shape).transpose(1, 2) for part in self.qkv(self.norm_1(x)).split(width, dim=2))
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.project(attended.transpose(1, 2).reshape(batch, context, width))
        return x + self.narrow(F.gelu(self.widen(self.norm_2(x)), approximate="tanh"))


class Gpt2(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block() for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, ids, targets):
        x = self.tokens(ids) + self.positions(torch.arange(context))
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.norm(x), self.tokens.weight)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


model = Gpt2()
for parameter in model.parameters():
    if parameter.dim() > 1:
        nn.init.normal_(parameter, std=0.02)
ids, targets = (torch.randint(0, vocabulary, (batch, context)) for _ in range(2))


def step():
    start = time.perf_counter()
    model.zero_grad()
    loss = model(ids, targets)
    loss.backward()
    return loss.item(), (time.perf_counter() - start) * 1000


def say(**message):
    print(json.dumps(message), flush=True)


say(ready=torch.__version__)
for line in sys.stdin:
    steps = [step() for _ in range(int(line))]
    say(loss=steps[-1][0], ms=[ms for _, ms in steps])
say(peakMb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
