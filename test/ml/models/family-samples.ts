import type { Bert } from "../../../ml/models/bert.ts";
import type { Gpt2 } from "../../../ml/models/gpt2.ts";
import type { Llama } from "../../../ml/models/llama.ts";
import { familyOf } from "../../../ml/models/registry.ts";
import { type Sample, sampleRows } from "./families.ts";

/** Sizes that share few factors, so that a wrong axis or a swapped size can't pass. */
const GPT2: Gpt2 = { layers: 3, heads: 3, width: 15, context: 11, vocabulary: 17 };

const LLAMA: Llama = {
  layers: 2,
  heads: 3,
  keyValueHeads: 3,
  headWidth: 6,
  width: 18,
  hidden: 29,
  context: 13,
  vocabulary: 19,
  ropeTheta: 10_000,
  ropeScaling: null,
  tied: true,
  epsilon: 1e-6,
  deviation: 0.02,
  padding: null,
};

const LLAMA3 = { factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContext: 64 };

const BERT: Bert = {
  layers: 2,
  heads: 3,
  width: 15,
  hidden: 31,
  context: 13,
  vocabulary: 23,
  types: 2,
  epsilon: 1e-12,
  deviation: 0.02,
  padding: null,
  dropout: 0,
};

const masked = (title: string, config: Bert, rows: number, columns: number): Sample => ({
  title,
  family: familyOf("bert"),
  config,
  ids: sampleRows(rows, columns, config.vocabulary, 3),
  mask: null,
  types: null,
  labels: sampleRows(rows, columns, config.vocabulary, 5).map((row) =>
    row.map((label, i) => (i % 3 === 1 ? label : -100)),
  ),
});

const rowsOf = (rows: number, columns: number, value: (row: number, i: number) => number): number[][] =>
  Array.from({ length: rows }, (_, row) => Array.from({ length: columns }, (_, i) => value(row, i)));

const causal = (title: string, config: Gpt2 | Llama, rows: number, columns: number): Sample => ({
  title,
  family: familyOf("hidden" in config ? "llama" : "gpt2"),
  config,
  ids: sampleRows(rows, columns, config.vocabulary, 3),
  mask: null,
  types: null,
  labels: sampleRows(rows, columns, config.vocabulary, 5),
});

export const samples: readonly Sample[] = [
  causal("gpt2", GPT2, 2, 11),
  causal("gpt2, one head, short sequences", { ...GPT2, heads: 1, layers: 1 }, 5, 7),
  causal("gpt2, untied", { ...GPT2, tied: false, layers: 1 }, 2, 5),
  causal("llama", LLAMA, 2, 13),
  causal("llama, untied", { ...LLAMA, tied: false }, 3, 7),
  causal(
    "llama, six heads over two of keys and values",
    { ...LLAMA, heads: 6, keyValueHeads: 2, width: 36 },
    3,
    5,
  ),
  causal(
    "llama, four heads over one",
    { ...LLAMA, heads: 4, keyValueHeads: 1, width: 8, headWidth: 2 },
    1,
    9,
  ),
  causal("llama, heads wider than their share", { ...LLAMA, headWidth: 10, epsilon: 1e-5 }, 2, 4),
  causal(
    "llama with llama3's scaling",
    { ...LLAMA, headWidth: 18, ropeTheta: 500, ropeScaling: LLAMA3 },
    2,
    13,
  ),
  causal("llama with a padding token", { ...LLAMA, tied: false, padding: 3, layers: 1 }, 2, 13),
  causal("llama, one token", { ...LLAMA, layers: 1 }, 1, 1),
  masked("bert", BERT, 2, 13),
  { ...masked("bert, every token to predict", BERT, 3, 5), labels: sampleRows(3, 5, BERT.vocabulary, 5) },
  {
    ...masked("bert with padding, types and a padding token", { ...BERT, padding: 4, types: 3 }, 3, 9),
    mask: rowsOf(3, 9, (row, i) => (i < 9 - 3 * row ? 1 : 0)),
    types: rowsOf(3, 9, (row, i) => (i > 3 + row ? 1 : 0)),
  },
  masked("bert, one head, larger epsilon", { ...BERT, heads: 1, layers: 1, epsilon: 1e-5 }, 1, 4),
];
