"""Tokenizers whose ids depend on what stands before, with the ids of long documents, by Hugging Face's `tokenizers`.

Usage: document_cases.py examples/data/tinyshakespeare.txt > test/ml/tokenizers/document-cases.json  # then format it
"""

import array
import hashlib
import json
import sys

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

TEXT = open(sys.argv[1], encoding="utf-8").read()
LINES = TEXT.split("\n")[:8000]
ALPHABET = pre_tokenizers.ByteLevel.alphabet()
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def digits(count):
    """Digits without a space among them; the test makes the same."""
    state, out = 1, []
    for _ in range(count):
        state = (state * 1103515245 + 12345) % 2**31
        out.append(str(state // 65536 % 10))
    return "".join(out)


DIGITS = digits(700_000)


def trained(tokenizer, lines=LINES, **options):
    tokenizer.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=400, show_progress=False, **options))
    return tokenizer


def prepend():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    special = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % i for i in range(256)]
    return trained(tokenizer, special_tokens=special, max_token_length=12)


def prefix_space():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    return trained(tokenizer, special_tokens=["<|endoftext|>"], initial_alphabet=ALPHABET)


def three_digits():
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    split = pre_tokenizers.Split(Regex(LLAMA3), "isolated")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, level])
    special = ["<|end_of_text|>"]
    return trained(tokenizer, LINES + [DIGITS[:60000]], special_tokens=special, initial_alphabet=ALPHABET)


def with_added(contents):
    """prefix_space without its space, and with more tokens: each a text and whether it is normalized."""
    file = json.loads(prefix_space().to_str())
    file["pre_tokenizer"]["add_prefix_space"] = False
    first = 1 + max(file["model"]["vocab"].values())
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "special": False}
    for i, (content, normalized) in enumerate(contents):
        file["added_tokens"].append({"id": first + i, "content": content, "normalized": normalized, **flags})
    return Tokenizer.from_str(json.dumps(file)), file


def long(tokenizer, document, text):
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    digest = hashlib.sha256(array.array("H", ids).tobytes()).hexdigest()
    return {"tokenizer": json.loads(tokenizer.to_str()), "document": document, "tokens": len(ids), "sha256": digest}


def short(contents, text):
    tokenizer, file = with_added(contents)
    return {"tokenizer": file, "text": text, "ids": tokenizer.encode(text, add_special_tokens=False).ids}


three = three_digits()
cases = {
    "long": {
        "a mark before the text": long(prepend(), "shakespeare", TEXT),
        "a space before the text": long(prefix_space(), "shakespeare", TEXT),
        "digits in threes": long(three, "digits", DIGITS),
        "digits in threes, of a text": long(three, "shakespeare", TEXT),
    },
    "short": {
        "two passes": short([("<x>y", True), ("y<z", False)], "abc <x>y<z def <x>y end y<z"),
        "a token that the vocabulary has": short([("ab c", False), ("b", False)], "xab cab b"),
    },
}
json.dump(cases, sys.stdout)
