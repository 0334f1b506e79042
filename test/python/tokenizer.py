"""What Hugging Face's AutoTokenizer makes of texts, for test/ml/tokenizers/auto-tokenizer.test.ts.

Usage: tokenizer.py < request.json > answer.json
Request: [{"directory": str, "texts": [str]}]
"""

import json
import sys

from transformers import AutoTokenizer


def answer(directory, texts):
    tokenizer = AutoTokenizer.from_pretrained(directory)
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    return {
        "ids": ids,
        "decoded": [tokenizer.decode(each) for each in ids],
        "vocabulary": len(tokenizer),
        "special": {
            "eos": tokenizer.eos_token_id,
            "pad": tokenizer.pad_token_id,
            "mask": tokenizer.mask_token_id,
        },
    }


json.dump([answer(**each) for each in json.load(sys.stdin)], sys.stdout)
