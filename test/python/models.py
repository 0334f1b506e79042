"""What transformers and PyTorch make of checkpoint directories, for test/worker/families.ts.

Usage: models.py < requests.json > answers.json
Request: [{"directory": str, "ids": [[int]], "mask": [[int]] | null, "types": [[int]] | null, "labels": [[int]]}]
Labels are the tokens to predict at each place, not shifted; -100: nothing to predict there.
"""

import json
import sys

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM

torch.set_num_threads(1)


def answer(request):
    directory = request["directory"]
    masked = AutoConfig.from_pretrained(directory).model_type == "bert"
    kind = AutoModelForMaskedLM if masked else AutoModelForCausalLM
    model, loading = kind.from_pretrained(directory, output_loading_info=True)
    model.eval()
    inputs = {"input_ids": torch.tensor(request["ids"])}
    if request["mask"]:
        inputs["attention_mask"] = torch.tensor(request["mask"])
    if request["types"]:
        inputs["token_type_ids"] = torch.tensor(request["types"])
    logits = model(**inputs).logits
    labels = torch.tensor(request["labels"])
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)
    loss.backward()
    return {
        "architecture": type(model).__name__,
        "missing": sorted(loading["missing_keys"]),
        "unexpected": sorted(loading["unexpected_keys"]),
        "mismatched": sorted(map(str, loading["mismatched_keys"])),
        "logits": logits.flatten().tolist(),
        "loss": loss.item(),
        "gradients": {name: p.grad.flatten().tolist() for name, p in model.named_parameters()},
    }


json.dump([answer(request) for request in json.load(sys.stdin)], sys.stdout)
