import { familyOf } from "../../worker/models/family.ts";
import type { Gpt2 } from "../../worker/models/gpt2.ts";
import type { Llama } from "../../worker/models/llama.ts";
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
];
