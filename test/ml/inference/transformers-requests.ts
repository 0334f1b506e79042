import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import type { Bert } from "../../../ml/models/bert.ts";
import type { ModelConfig } from "../../../ml/models/family.ts";
import type { Gpt2 } from "../../../ml/models/gpt2.ts";
import type { Llama } from "../../../ml/models/llama.ts";
import { familyOf } from "../../../ml/models/registry.ts";
import { charTokenizerFiles } from "../../../ml/tokenizers/char.ts";
import { writeModel } from "../../support/models.ts";
import { python } from "../../support/python.ts";

/** Small checkpoints of each family with a tokenizer, the requests to them, and the answers of transformers. */

const CHARACTERS = "abcdefgh ijklmnopqr.\n";

const GPT2: Gpt2 = { layers: 3, heads: 3, width: 15, context: 33, vocabulary: 21 };
const LLAMA: Llama = {
  layers: 2,
  heads: 6,
  keyValueHeads: 2,
  headWidth: 6,
  width: 18,
  hidden: 29,
  context: 37,
  vocabulary: 21,
  ropeTheta: 10_000,
  ropeScaling: null,
  tied: false,
  epsilon: 1e-6,
  deviation: 0.02,
  padding: null,
};
const WORDS = [
  "[PAD]",
  "[UNK]",
  "[CLS]",
  "[SEP]",
  "[MASK]",
  "paris",
  "is",
  "the",
  "capital",
  "of",
  "france",
  "##s",
  ".",
];
const BERT: Bert = {
  layers: 2,
  heads: 3,
  width: 15,
  hidden: 31,
  context: 20,
  vocabulary: WORDS.length,
  types: 2,
  epsilon: 1e-12,
  deviation: 0.02,
  padding: 0,
  dropout: 0,
};

const special = (content: string) => ({
  id: WORDS.indexOf(content),
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});

/** A WordPiece tokenizer as BERT's. */
function wordPieceFiles(): Record<string, Uint8Array> {
  const piece = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  const tokenizer = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: WORDS.slice(0, 5).map(special),
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: {
      type: "TemplateProcessing",
      single: [piece("[CLS]"), { Sequence: { id: "A", type_id: 0 } }, piece("[SEP]")],
      pair: [
        piece("[CLS]"),
        { Sequence: { id: "A", type_id: 0 } },
        piece("[SEP]"),
        { Sequence: { id: "B", type_id: 1 } },
      ],
      special_tokens: Object.fromEntries(
        ["[CLS]", "[SEP]"].map((id) => [id, { id, ids: [WORDS.indexOf(id)], tokens: [id] }]),
      ),
    },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: "[UNK]",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(WORDS.map((word, id) => [word, id])),
    },
  };
  const config = {
    tokenizer_class: "PreTrainedTokenizerFast",
    clean_up_tokenization_spaces: false,
    ...Object.fromEntries(
      ["pad", "unk", "cls", "sep", "mask"].map((n) => [`${n}_token`, `[${n.toUpperCase()}]`]),
    ),
  };
  const bytes = (value: object) => Buffer.from(JSON.stringify(value));
  return { "tokenizer.json": bytes(tokenizer), "tokenizer_config.json": bytes(config) };
}

/** Writes the checkpoints `gpt2`, `llama` and `bert` into a folder. */
export function writeModels(directory: string): void {
  const models: [string, ModelConfig][] = [
    ["gpt2", GPT2],
    ["llama", LLAMA],
    ["bert", BERT],
  ];
  for (const [type, config] of models) {
    const at = join(directory, type);
    mkdirSync(at);
    writeModel(at, familyOf(type), config);
    const files = type === "bert" ? wordPieceFiles() : charTokenizerFiles([...CHARACTERS]);
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(at, name), bytes);
  }
}

const TEXT = "a cab. each bad\nface led him go on ".repeat(5);

/** Generation stays within the context: transformers has no answer beyond. */
export const requests = [
  { kind: "generate", model: "gpt2", prompt: "a bad cab", tokens: 24, penalty: 1 },
  { kind: "generate", model: "gpt2", prompt: "k", tokens: 32, penalty: 1.7 },
  { kind: "generate", model: "llama", prompt: "a bad cab", tokens: 28, penalty: 1 },
  { kind: "generate", model: "llama", prompt: "k", tokens: 36, penalty: 1.4 },
  { kind: "fill-mask", model: "bert", text: "Paris is the [MASK] of France.", top: 5 },
  { kind: "fill-mask", model: "bert", text: "[MASK] is [MASK]s", top: 3 },
  { kind: "loss", model: "gpt2", text: TEXT },
  { kind: "loss", model: "llama", text: TEXT },
] as const;
export type Request = (typeof requests)[number];

const guess = z.object({ text: z.string(), probability: z.number() });
const answersSchema = z.array(z.union([z.string(), z.number(), z.array(z.array(guess))]));
export type Answer = z.infer<typeof answersSchema>[number];

export const answersFile = fileURLToPath(new URL("./transformers-answers.json", import.meta.url));
export const parseAnswers = (json: string): Answer[] => answersSchema.parse(JSON.parse(json));

/** The answers of transformers. */
export function askTransformers(directory: string): Answer[] {
  const script = fileURLToPath(new URL("../../python/inference.py", import.meta.url));
  const input = requests.map((request) => ({ ...request, directory: join(directory, request.model) }));
  const result = spawnSync(python, [script], {
    input: JSON.stringify(input),
    encoding: "utf8",
    env: { ...process.env, HF_HUB_OFFLINE: "1" },
  });
  assert.equal(result.status, 0, result.stderr);
  return parseAnswers(result.stdout);
}
