import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { Decoder } from "../ml/inference/decoder.ts";
import { generate } from "../ml/inference/generate.ts";
import { type GenerativeModel, loadGenerativeModel } from "../ml/inference/generative-model.ts";
import { compileKernels } from "../ml/inference/kernels.ts";
import { loadSharedWeights } from "../ml/inference/shared-weights.ts";
import { ThreadPool } from "../ml/inference/thread-pool.ts";
import type { ModelConfig } from "../ml/models/family.ts";
import type { Gpt2 } from "../ml/models/gpt2.ts";
import type { Llama } from "../ml/models/llama.ts";
import { familyOf } from "../ml/models/registry.ts";
import { charTokenizerFiles } from "../ml/tokenizers/char.ts";
import { at, required } from "../protocol/required.ts";
import { elements } from "../protocol/safetensors.ts";
import { writeModel } from "../test/support/models.ts";
import { LineProcess } from "./support/line-process.ts";
import { load, median, report } from "./support/report.ts";

/**
 * Compares the tokens per second of greedy generation with the KV cache, one text at a time, with `generate` of
 * transformers on the same checkpoints and cores, taking turns. A round is a prompt of 8 tokens and then 120 new ones, or as
 * many as the context has room for; the first round is not counted. The limit is one reading of every weight: a matrix
 * product of that size by the same kernels and threads, measured in the same run. Generation past the context is measured
 * too, ours only: half a context of tokens after a prompt that fills it, during which the rest of it is read again twice.
 * PS_PYTHON names a Python that has torch and transformers. Asked: at least 2 times its tokens per second.
 */

const ROUNDS = 5;
const MAX_TOKENS = 120;
const ROUNDS_PAST = 3;
const PROMPT = "abcdefgh";
const THREADS = availableParallelism();
const python = process.env.PS_PYTHON || "python3";

const gpt2 = (layers: number, heads: number, width: number, context: number): Gpt2 => ({
  layers,
  heads,
  width,
  context,
  vocabulary: 65,
});
const llama: Llama = {
  layers: 6,
  heads: 6,
  keyValueHeads: 2,
  headWidth: 64,
  width: 384,
  hidden: 1024,
  context: 256,
  vocabulary: 65,
  ropeTheta: 10_000,
  ropeScaling: null,
  tied: true,
  epsilon: 1e-5,
  deviation: 0.02,
  padding: null,
};
const MODELS: readonly { name: string; type: string; config: ModelConfig }[] = [
  { name: "gpt2 4 x 4 x 128, context 64", type: "gpt2", config: gpt2(4, 4, 128, 64) },
  { name: "gpt2 6 x 6 x 384, context 256", type: "gpt2", config: gpt2(6, 6, 384, 256) },
  { name: "llama 6 x 6 (2) x 384, context 256", type: "llama", config: llama },
  { name: "gpt2 12 x 12 x 768, context 256", type: "gpt2", config: gpt2(12, 12, 768, 256) },
];

const peer = startPeer();
try {
  for (const model of MODELS) await compare(model);
} finally {
  peer?.kill();
}
if (!peer)
  console.log(`${python} has no torch and transformers, so there is nothing to compare with; set PS_PYTHON`);

async function compare({ name, type, config }: (typeof MODELS)[number]): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "ps-bench-generate-"));
  try {
    writeCheckpoint(directory, type, config);
    const tokens = Math.min(MAX_TOKENS, config.context - PROMPT.length - 1);
    const model = await loadGenerativeModel(directory);
    const own = async () => {
      const start = performance.now();
      const options = { model, prompts: [PROMPT], maxNewTokens: tokens, temperature: 0, seed: 1 };
      const { text } = at(await generate(options), 0, "the generated text");
      return { text, rate: tokens / ((performance.now() - start) / 1000) };
    };
    const ask = () => peer?.ask(JSON.stringify({ directory, prompt: PROMPT, tokens }));
    const rates: { ours: number[]; theirs: number[] } = { ours: [], theirs: [] };
    await own();
    await ask();
    for (let i = 0; i < ROUNDS; i++) {
      const [a, b] = [await own(), await ask()];
      rates.ours.push(a.rate);
      if (!b) continue;
      rates.theirs.push(b.rate);
      if (a.text !== b.text) console.log(`the texts differ: ${a.text.slice(0, 40)}, ${b.text.slice(0, 40)}`);
    }
    const limit = 1000 / (await productMs(matrixBytes(type, config)));
    const past: number[] = [];
    for (let i = 0; i < ROUNDS_PAST; i++) past.push(await ratePastContext(model));
    const [ours, theirs] = [median(rates.ours), peer ? median(rates.theirs) : null];
    show(name, { ours, theirs, past: median(past), limit });
    model.dispose();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Tokens per second when the context is full. */
async function ratePastContext(model: GenerativeModel): Promise<number> {
  const { context } = model.config;
  const times: number[] = [];
  const options = { model, prompts: [PROMPT.repeat(context / PROMPT.length)], temperature: 0, seed: 1 };
  await generate({ ...options, maxNewTokens: context / 2 + 1 }, () => {
    times.push(performance.now());
  });
  const first = at(times, 0, "the first token");
  const last = required(times.at(-1), "the last token");
  return (times.length - 1) / ((last - first) / 1000);
}

type Rates = {
  readonly ours: number;
  readonly theirs: number | null;
  readonly past: number;
  readonly limit: number;
};

function show(name: string, { ours, theirs, past, limit }: Rates): void {
  report(`generate, tokens/s, ${name}, ${THREADS} threads, medians of ${ROUNDS}`, {
    ours,
    ...(theirs === null ? {} : { transformers: theirs }),
    "ours, past the context": past,
    "one product of that size": limit,
  });
  console.log(
    `${(ours / limit).toFixed(2)} of the rate of one product; load of the machine ${load().toFixed(1)}`,
  );
  console.log(`${(past / ours).toFixed(2)} of the rate within the context, past it`);
  if (theirs !== null) console.log(`ratio ${(ours / theirs).toFixed(2)} to transformers (asked: at least 2)`);
}

/** The size of the matrices that a token is multiplied with: all but the table of positions. */
function matrixBytes(type: string, config: ModelConfig): number {
  const matrices = familyOf(type)
    .parameters(config)
    .filter(({ name, shape }) => shape.length === 2 && !name.includes("wpe"));
  return matrices.reduce((sum, { shape }) => sum + 4 * elements(shape), 0);
}

/** Measures the product with one matrix of so many bytes, in ms: the logits of a model that has nothing else. */
async function productMs(bytes: number): Promise<number> {
  const width = 768;
  const vocabulary = Math.ceil(bytes / 4 / width);
  const table = "model.embed_tokens.weight";
  const heads = { heads: 1, keyHeads: 1, headWidth: 1, hidden: 1, frequencies: new Float32Array() };
  const shape = {
    ...{ width, vocabulary, tokens: table, positions: null, blocks: [], ...heads },
    norm: { gain: "model.norm.weight", bias: null, epsilon: 1 },
    head: { weight: table, bias: null, inputsFirst: false },
  };
  const parameters = [
    { name: table, shape: [vocabulary, width] },
    { name: "model.norm.weight", shape: [width] },
  ];
  const weights = await loadSharedWeights({ parameters, read: async (_, into) => into.fill(1) }, shape);
  const pool = new ThreadPool(THREADS);
  const decoder = new Decoder({ shape, weights, module: compileKernels() }, pool, { count: 1, length: 1 });
  const times = Array.from({ length: 50 }, () => {
    const start = performance.now();
    decoder.read([{ token: 0, text: 0, position: 0, wanted: true }]);
    return performance.now() - start;
  });
  decoder.close();
  pool.close();
  return median(times);
}

/** Starts transformers in a process of its own; null where it is not installed. */
function startPeer() {
  if (spawnSync(python, ["-c", "import torch, transformers"]).status !== 0) return null;
  const script = fileURLToPath(new URL("./python/generate.py", import.meta.url));
  const env = { ...process.env, HF_HUB_OFFLINE: "1", OMP_NUM_THREADS: String(THREADS) };
  const answer = z.object({ text: z.string(), rate: z.number() });
  return new LineProcess(python, [script, String(THREADS)], env, answer);
}

function writeCheckpoint(directory: string, type: string, config: ModelConfig): void {
  mkdirSync(directory, { recursive: true });
  writeModel(directory, familyOf(type), config);
  const characters = Array.from({ length: config.vocabulary }, (_, i) => String.fromCharCode(97 + i));
  for (const [name, bytes] of Object.entries(charTokenizerFiles(characters))) {
    writeFileSync(join(directory, name), bytes);
  }
}
