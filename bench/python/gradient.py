"""PyTorch's side of bench/model.ts: a language model's gradient step, driven line by line over stdin and stdout.

GPT-2 is written in PyTorch's own modules, the faster way; Llama and BERT are transformers' models.

Usage: gradient.py FAMILY LAYERS HEADS WIDTH HIDDEN CONTEXT VOCABULARY BATCH THREADS
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

family = sys.argv[1]
layers, heads, width, hidden, context, vocabulary, batch, threads = map(int, sys.argv[2:])
torch.set_num_threads(threads)
torch.manual_seed(1)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, hidden), nn.Linear(hidden, width)

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


def transformers_model():
    import transformers

    sizes = {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "max_position_embeddings": context,
        "attn_implementation": "sdpa",
        "tie_word_embeddings": True,
        "pad_token_id": None,
    }
    if family == "llama":
        return transformers.LlamaForCausalLM(transformers.LlamaConfig(use_cache=False, **sizes))
    none = {"hidden_dropout_prob": 0, "attention_probs_dropout_prob": 0}
    return transformers.BertForMaskedLM(transformers.BertConfig(**none, **sizes))


def loss_function():
    ids = torch.randint(0, vocabulary, (batch, context))
    targets = torch.randint(0, vocabulary, (batch, context))
    if family == "gpt2":
        model = Gpt2()
        for parameter in model.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)
        return model, lambda: model(ids, targets)
    model = transformers_model()
    model.train()
    if family == "bert":
        predicted = (torch.arange(batch * context) % 20 < 3).view(batch, context)
        targets = torch.where(predicted, targets, -100)
    return model, lambda: model(input_ids=ids, labels=targets).loss


model, compute_loss = loss_function()


def step():
    start = time.perf_counter()
    model.zero_grad()
    loss = compute_loss()
    loss.backward()
    return loss.item(), (time.perf_counter() - start) * 1000


def say(**message):
    print(json.dumps(message), flush=True)


say(ready=torch.__version__)
for line in sys.stdin:
    steps = [step() for _ in range(int(line))]
    say(loss=steps[-1][0], ms=[ms for _, ms in steps])
say(peakMb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
