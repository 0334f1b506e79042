"""Small tokenizers made by Hugging Face's `tokenizers`, with the ids they give: test/worker/tokenizers-reference.json.

Usage: tokenizers_reference.py examples/data/tinyshakespeare.txt > test/worker/tokenizers-reference.json  # then format it
"""

import hashlib
import json
import sys

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXT = open(sys.argv[1], encoding="utf-8").read()[:60_000]

TEXTS = [
    "",
    "Hello, world! It's we'll I'VE don't ''s she'd 'twas",
    "  leading\n\n\nempty lines\r\nCRLF\r\n\r\n\ttabs\t\t and trailing   ",
    "12 345 6\u00b3\u00bd \u0664\u0665 x1y2 $9.99 (a)[b]{c} a_b __proto__ constructor",
    "\u4e16\u754c\u3002 caf\u00e9 cafe\u0301 na\u00efve \u00df \u0130 \u01c5 \ufb01n",
    "\U0001f642\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \u2764\ufe0f \ufeffbom \u200b \u00ad",
    "\u00a0nbsp \u3000ideographic\u2028line\u2029paragraph \u0085next \u1680ogham \u180e",
    "one<|endoftext|>two <|endoftext|>\n<|endoftext|><|endoftext|> [MASK] [PAD] <|endoftext|",
    "Thou art a villain, and thy mother's son; speak, speak.",
]

def few_letters(words):
    """Words of two letters, in which a token comes about in several ways, and pairs are merged again."""
    state, out = 1, []
    for _ in range(words):
        word = ""
        while len(word) < 3 or state % 11:
            state = (state * 1103515245 + 12345) % 2**31
            word += "ab"[state >> 20 & 1]
        out.append(word)
    return " ".join(out)


FEW_LETTERS = few_letters(600)

GPT2 = lambda: pre_tokenizers.ByteLevel(add_prefix_space=False)
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def bpe(vocab, special, text=TEXT):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = GPT2()
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer


def llama3():
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    split = pre_tokenizers.Split(Regex(LLAMA3), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|begin_of_text|>", "<|endoftext|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", 0)]
    )
    return tokenizer


def wordpiece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator([TEXT], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def case(tokenizer):
    plain = [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
    return {
        "tokenizer": json.loads(tokenizer.to_str()),
        "ids": plain,
        "withSpecial": [tokenizer.encode(text).ids for text in TEXTS],
        "decoded": [tokenizer.decode(ids, skip_special_tokens=False) for ids in plain],
    }


def trained(vocab, text=TEXT):
    """What the BPE trainer learned from a text, as a digest over its vocabulary by id and its merges."""
    model = json.loads(bpe(vocab, ["<|endoftext|>", "[PAD]", "[MASK]"], text).to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    text = json.dumps([tokens, model["merges"]], ensure_ascii=False, separators=(",", ":"))
    return {"vocab": vocab, "tokens": len(tokens), "sha256": hashlib.sha256(text.encode()).hexdigest()}


json.dump(
    {
        "characters": len(TEXT),
        "texts": TEXTS,
        "cases": {"gpt2": case(bpe(400, ["<|endoftext|>"])), "llama3": case(llama3()), "wordpiece": case(wordpiece())},
        "trained": [trained(300), trained(1000), trained(100_000)],
        "fewLetters": {
            "text": FEW_LETTERS,
            "trained": trained(100_000, FEW_LETTERS),
            "ids": bpe(700, ["<|endoftext|>"], FEW_LETTERS).encode(few_letters(900)[-3000:]).ids,
            "encoded": few_letters(900)[-3000:],
        },
    },
    sys.stdout,
    ensure_ascii=True,
    separators=(",", ":"),
)
print()
