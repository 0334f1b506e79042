"""Tokenizers of many kinds with the ids that Hugging Face gives them: test/worker/tokenizer-kinds.json.

Usage: tokenizer_kinds.py examples/data/tinyshakespeare.txt > test/worker/tokenizer-kinds.json  # then format it
With --live, directories of vocabulary files are made in a folder, and only what AutoTokenizer makes of them is printed:
tokenizer_kinds.py --live FOLDER < test/worker/tokenizer-kinds.json
"""

import base64
import json
import os
import sys
import zlib

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXTS = [
    "",
    "Hello, world! It's we'll I'VE don't",
    "  leading\n\n\nempty lines\r\nCRLF\r\n\r\n\ttabs\t\t and trailing   ",
    "12 345 6\u00b3\u00bd \u0664\u0665 x1y2 $9.99 (a)[b]{c} a_b __proto__ constructor a+b=c <d> ~e^f|`g`",
    "\u4e16\u754c\u3002 caf\u00e9 cafe\u0301 na\u00efve \u00df \u0130 \u01c5 \ufb01n \U00020000\U0002b825 \uff34\uff28\uff25",
    "\U0001f642\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \u2764\ufe0f \ufeffbom \u200b \u00ad",
    "\u00a0nbsp \u3000ideographic\u2028line\u2029paragraph \u0085next \u1680ogham \u180e",
    "\u03a3\u0391\u03a3 \u039f\u0394\u039f\u03a3 \u0421\u043b\u043e\u0432\u043e \u0939\u093f\u0928\u094d\u0926\u0940 \u0645\u0631\u062d\u0628\u0627 \ud55c\uad6d\uc5b4 \uff76\uff9e",
    "one</s>two </s>\n<s></s> <unk> <pad> </s [MASK] x[MASK] y [CLS]<|endoftext|>",
    "\u2581under\u2581score \u2581 x",
    "Thou art a villain, and thy mother's son; speak, speak.",
    " ",
    "a",
    " a",
    "a ",
    "</s> a",
    "x\x00y\x7f\x1fz",
]
SPECIAL = ["<pad>", "</s>", "<unk>"]
MARK = "\u2581"

# Made by SentencePiece from a table of 14 replacements; some of two characters, one that overlaps another.
CHARSMAP = zlib.decompress(
    base64.b64decode(
    "eNod03dsjVEYx/Hf+yrRIhKJPyQkYhclsdXetVftvSrX3rO4vUbRoqVojfaWGtWLWjVb49bMjVl7uxWV2Ctif4+bfPI773mePDlv"
    "3nsUIKm8FBgoBRWWLMkZVE4qUVPyBdhyNiaL2yrJfhT1UqS7mZRJvzPcVjEihn1+TqfpbyWZvqI8p5JFyCyyNJkTaSuZ2WVYp0yw"
    "5fotJTHbk2erEHsVGVIBlVEJVVEFwaiGGqiOEHA81UYtnCprK5vZdVnXQX3UQ0M0AK+gRmiCUHB8NUULNAdHVku0QWu0Q1t0QHt0"
    "RBg6oxO6ogu6oxt6ogd6oxf6IBz90BcD0B+DMBBDMBjDMBQjMByjMBJjMBpjEQGH6Ym1NZ4ch4mmJ83WZHISpmIKpmMaZmIGZmMW"
    "5mIO5mMeFiASi7AQUebjYTFcWIoliMYyrMByxGAlViEWa7Aa8YjDOqzFeiRgIzYgCYnYjE3Yii1IQTJS4cZ2bMMOpGEXdiIdu5GB"
    "PdgLD/ZjHw4gE4dwEEdwGEeRheM4hpM4gWzzn8Fp5OAszsCLcziPXFzEBVzGJVNLtHTF1HIt+chruIobuI5buInbyMNd3MF93MND"
    "PMBjPMJTPMFzPIMfL/AS+XiF9x5Lr8kCU4uz5M+39Jb1G1PDO3zEB3zGJ3zFF1MPs/TN1AosfSd/4ge4dvqFv/ij//c/NJhbEOGQ"
    "wxctr1vedPldGfDoH2JdpMQ="
    )
)


def unigram(text, pre_tokenizer, normalizer=None, decoder=None, prepend="always"):
    tokenizer = Tokenizer(models.Unigram())
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoder or decoders.Metaspace(replacement=MARK, prepend_scheme=prepend)
    trainer = trainers.UnigramTrainer(
        vocab_size=150, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(text.split("\n"), trainer)
    template = [("</s>", SPECIAL.index("</s>"))]
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=template)
    return tokenizer


def metaspace(prepend, split=True):
    return pre_tokenizers.Metaspace(replacement=MARK, prepend_scheme=prepend, split=split)


def llama(text, changes):
    """As Llama 1 and 2 have it: byte-pair encoding of characters, bytes for those without a token."""
    special = ["<unk>", "<s>", "</s>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(MARK, "merged_with_next")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    of_bytes = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=450, special_tokens=special + of_bytes, show_progress=False, max_token_length=8
    )
    tokenizer.train_from_iterator(text.split("\n"), trainer)
    parts = json.loads(tokenizer.to_str())
    parts["added_tokens"] = [token for token in parts["added_tokens"] if token["content"] in special]
    tokenizer = Tokenizer.from_str(json.dumps({**parts, "pre_tokenizer": None, **changes}))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


def words(text, pre_tokenizer, normalizer=None):
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>", max_input_chars_per_word=40))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator([text, *TEXTS], trainer)
    return tokenizer


def bytes_pairs(text, normalizer=None, prefix=False):
    tokenizer = Tokenizer(models.BPE())
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer


def kinds(text):
    p, n = pre_tokenizers, normalizers
    precompiled = n.Sequence([n.Precompiled(CHARSMAP), n.Replace(Regex(" {2,}"), " ")])
    strip = n.Sequence([n.NFKD(), n.StripAccents(), n.Lowercase(), n.Strip()])
    first = {"normalizer": None, "pre_tokenizer": json.loads(metaspace("first", False).__getstate__())}
    never = {"normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": MARK}}
    return {
        "t5": unigram(text, p.Sequence([p.WhitespaceSplit(), metaspace("always")]), precompiled),
        "nfkc": unigram(text, metaspace("always"), n.NFKC()),
        "albert": unigram(text, metaspace("always"), strip),
        "unigram never": unigram(text, metaspace("never"), n.NFC(), prepend="never"),
        "unigram first": unigram(text, metaspace("first"), prepend="first"),
        "llama": llama(text, {}),
        "llama first": llama(text, first),
        "llama never": llama(text, never),
        "whitespace": words(text, p.Whitespace()),
        "punctuation": words(text, p.Sequence([p.WhitespaceSplit(), p.Punctuation()])),
        "punctuation contiguous": words(text, p.Sequence([p.WhitespaceSplit(), p.Punctuation("contiguous")])),
        "digits": words(text, p.Sequence([p.Whitespace(), p.Digits(individual_digits=True)])),
        "digits contiguous": words(text, p.Sequence([p.Whitespace(), p.Digits(individual_digits=False)])),
        "bert cased": words(text, p.BertPreTokenizer(), n.BertNormalizer(lowercase=False)),
        "bert accents": words(text, p.BertPreTokenizer(), n.BertNormalizer(strip_accents=False)),
        "byte pairs after a space": bytes_pairs(text, prefix=True),
        "byte pairs normalized": bytes_pairs(text, n.NFC()),
    }


def case(tokenizer):
    plain = [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
    return {
        "tokenizer": json.loads(tokenizer.to_str()),
        "ids": plain,
        "withSpecial": [tokenizer.encode(text).ids for text in TEXTS],
        "decoded": [tokenizer.decode(ids, skip_special_tokens=False) for ids in plain],
    }


def directories(text):
    """Files of directories without tokenizer.json, the model type that their config.json has, and what is special."""
    bert = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    bert.normalizer = normalizers.BertNormalizer(lowercase=False)
    bert.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=230, special_tokens=special, show_progress=False)
    bert.train_from_iterator([text[:20_000], *TEXTS, *TEXTS, *(t.lower() for t in TEXTS)], trainer)
    vocab = json.loads(bert.to_str())["model"]["vocab"]
    vocab_txt = "".join(f"{token}\n" for token in sorted(vocab, key=vocab.get))
    model = json.loads(bytes_pairs(text).to_str())["model"]
    pairs = {**{t: i for t, i in model["vocab"].items() if t not in SPECIAL}, "<|endoftext|>": 0, "<a>": 1, "<b>": 2}
    merges = "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in model["merges"])
    gpt2 = {"vocab.json": json.dumps(pairs), "merges.txt": merges}

    def with_config(files, config, **more):
        extra = {"tokenizer_config.json": config, **{f"{name}.json": value for name, value in more.items()}}
        return {**files, **{name: json.dumps(value) for name, value in extra.items()}}

    last = len(vocab)
    mask = {"content": "[MASK]", "lstrip": True, "rstrip": False, "single_word": False, "normalized": False}
    return {
        "vocab.txt alone": ("bert", {"vocab.txt": vocab_txt}),
        "cased": ("bert", with_config({"vocab.txt": vocab_txt}, {"do_lower_case": False})),
        "accents kept": (
            "bert",
            with_config(
                {"vocab.txt": vocab_txt.replace("\n", "\r\n")},
                {"strip_accents": False, "tokenize_chinese_chars": False, "tokenizer_class": "BertTokenizer"},
            ),
        ),
        "added tokens": (
            "bert",
            with_config(
                {"vocab.txt": vocab_txt},
                {"tokenizer_class": "BertTokenizer"},
                special_tokens_map={"mask_token": mask},
                added_tokens={"villain": last, "<b>": last + 1},
            ),
        ),
        "vocab.json and merges.txt": ("gpt2", gpt2),
        "a space first": ("gpt2", with_config(gpt2, {"add_prefix_space": True})),
        "a token first": (
            "gpt2",
            with_config(gpt2, {"add_bos_token": True, "pad_token": "<pad>", "tokenizer_class": "GPT2Tokenizer"}),
        ),
    }


def automatic(folder, model_type, files):
    from transformers import AutoTokenizer

    os.makedirs(folder)
    config = {"model_type": model_type, "vocab_size": 1000}
    for name, content in {**files, "config.json": json.dumps(config)}.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8", newline="") as file:
            file.write(content)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return {
        "type": model_type,
        "files": files,
        "ids": [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS],
        "withSpecial": [tokenizer(text)["input_ids"] for text in TEXTS],
        "special": {
            name: getattr(tokenizer, f"{name}_token_id") for name in ["eos", "bos", "pad", "mask", "cls", "sep", "unk"]
        },
        "vocabulary": len(tokenizer),
    }


def answer(value):
    json.dump(value, sys.stdout, ensure_ascii=True, separators=(",", ":"))
    print()


if sys.argv[1] == "--live":
    given = json.load(sys.stdin)["directories"]
    made = enumerate(given.items())
    answer({name: automatic(f"{sys.argv[2]}/{i}", each["type"], each["files"]) for i, (name, each) in made})
else:
    import tempfile

    text = open(sys.argv[1], encoding="utf-8").read()[:60_000]
    with tempfile.TemporaryDirectory() as folder:
        made = enumerate(directories(text).items())
        found = {name: automatic(f"{folder}/{i}", *each) for i, (name, each) in made}
    answer({"texts": TEXTS, "kinds": {k: case(t) for k, t in kinds(text).items()}, "directories": found})
