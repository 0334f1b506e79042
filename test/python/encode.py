"""Reads [{ "tokenizer": tokenizer.json, "texts": [...] }, ...] and writes the ids that `tokenizers` gives each text."""

import json
import sys

from tokenizers import Tokenizer

answers = []
for request in json.load(sys.stdin):
    tokenizer = Tokenizer.from_str(json.dumps(request["tokenizer"]))
    answers.append([tokenizer.encode(text, add_special_tokens=False).ids for text in request["texts"]])
json.dump(answers, sys.stdout)
