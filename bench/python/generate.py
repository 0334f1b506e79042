"""The other side of bench/generate.ts: answers each line {"directory", "prompt", "tokens"} with {"text", "rate"}.

Usage: generate.py THREADS
"""

import json
import sys
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

torch.set_num_threads(int(sys.argv[1]))
loaded = {}

for line in sys.stdin:
    request = json.loads(line)
    directory = request["directory"]
    if directory not in loaded:
        loaded.clear()
        model = AutoModelForCausalLM.from_pretrained(directory).eval()
        loaded[directory] = (model, AutoTokenizer.from_pretrained(directory))
    model, tokenizer = loaded[directory]
    inputs = tokenizer(request["prompt"], return_tensors="pt", return_token_type_ids=False)
    start = time.perf_counter()
    with torch.inference_mode():
        ids = model.generate(
            **inputs,
            max_new_tokens=request["tokens"],
            min_new_tokens=request["tokens"],
            do_sample=False,
            pad_token_id=0,
        )
    rate = request["tokens"] / (time.perf_counter() - start)
    text = tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :])
    print(json.dumps({"text": text, "rate": rate}), flush=True)
