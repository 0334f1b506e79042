import { spawnSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { bytesPerElement, type FloatType } from "../ml/huggingface/dtype.ts";
import { loadGenerativeModel } from "../ml/inference/generative-model.ts";
import { loadLanguageModel } from "../ml/inference/language-model.ts";
import type { Gpt2 } from "../ml/models/gpt2.ts";
import { familyOf } from "../ml/models/registry.ts";
import { loadBackend } from "../ml/tensorflow/load.ts";
import { charTokenizerFiles } from "../ml/tokenizers/char.ts";
import { Unrecoverable } from "../protocol/errors.ts";
import { required } from "../protocol/required.ts";
import { elements } from "../protocol/safetensors.ts";
import { argument, median, report } from "./support/report.ts";

/**
 * Measures the loading of a checkpoint of GPT-2's size (124 M parameters), stored in 32 or 16 bits: to generate text with
 * it, and onto the backend, as `evaluate` and `fill-mask` do. The limit is reading its file into memory; reading it
 * through one small buffer is shown beside it. Each round is a process of its own; its memory is its peak above that of a
 * process that has loaded nothing, or the backend only. Asked of 32 bits: at most 2 times the time, at most 1.3 times the
 * file in memory.
 */

const ROUNDS = 5;
const MODEL: Gpt2 = { layers: 12, heads: 12, width: 768, context: 1024, vocabulary: 50257 };
const TYPES = ["F32", "BF16", "F16"] as const;
const WEIGHTS = "model.safetensors";
const READ_BYTES = 8 << 20;
const MIB = 2 ** 20;

/** A round's milliseconds, and the peak of its process's memory in bytes. */
const roundSchema = z.object({ ms: z.number(), peak: z.number() });
type Round = z.infer<typeof roundSchema>;

const rounds = {
  nothing: async () => {},
  backend: async () => {},
  async read(directory) {
    readFileSync(join(directory, WEIGHTS));
  },
  async pass(directory) {
    const file = openSync(join(directory, WEIGHTS), "r");
    const buffer = new Uint8Array(READ_BYTES);
    while (readSync(file, buffer) > 0);
    closeSync(file);
  },
  async text(directory) {
    await loadGenerativeModel(directory);
  },
  async tensors(directory) {
    await loadLanguageModel(directory, await loadBackend("auto"));
  },
} satisfies Record<string, (directory: string) => Promise<void>>;
type Kind = keyof typeof rounds;
const KINDS = Object.keys(rounds) as Kind[];

const [wanted] = process.argv.slice(2);
if (wanted === undefined) compare();
else
  await measure(
    required(
      KINDS.find((kind) => kind === wanted),
      `the kind ${wanted}`,
    ),
    argument(1, "DIRECTORY"),
  );

async function measure(of: Kind, directory: string): Promise<void> {
  if (of === "backend" || of === "tensors") {
    const { tf } = await loadBackend("auto");
    // The first tensor starts the library's threads.
    tf.add(tf.ones([4]), 1).dataSync();
  }
  const start = performance.now();
  await rounds[of](directory);
  const round: Round = { ms: performance.now() - start, peak: process.resourceUsage().maxRSS * 1024 };
  console.log(JSON.stringify(round));
}

function compare(): void {
  const directory = mkdtempSync(join(tmpdir(), "ps-bench-load-"));
  try {
    for (const type of TYPES) compareType(join(directory, type), type);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function compareType(directory: string, type: FloatType): void {
  const size = writeCheckpoint(directory, type);
  const results = new Map(KINDS.map((name): [Kind, Round[]] => [name, []]));
  for (let i = 0; i < ROUNDS; i++) {
    for (const [name, list] of results) list.push(round(name, directory));
  }
  rmSync(directory, { recursive: true });
  const middle = (name: Kind, of: keyof Round) =>
    median(required(results.get(name), name).map((each) => each[of]));
  const text = middle("text", "peak") - middle("nothing", "peak");
  const tensors = middle("tensors", "peak") - middle("backend", "peak");
  report(`load a checkpoint of ${(size / 1e6).toFixed(0)} MB, ${type}, medians of ${ROUNDS}`, {
    "read the file through a buffer of 8 MiB, ms": middle("pass", "ms"),
    "read the file into memory, ms": middle("read", "ms"),
    "load the model to generate text, ms": middle("text", "ms"),
    "load the model onto the backend, ms": middle("tensors", "ms"),
    "memory at its peak, to generate text, MiB": text / MIB,
    "memory at its peak, on the backend, MiB": tensors / MIB,
  });
  // The parameters are 32 bits wide in memory.
  const inMemory = (size * 4) / bytesPerElement(type);
  for (const [what, name, memory] of [
    ["to generate text", "text", text],
    ["onto the backend", "tensors", tensors],
  ] as const) {
    const [time, share] = [middle(name, "ms") / middle("read", "ms"), memory / inMemory];
    const [askedTime, askedMemory] =
      type === "F32" ? [" (asked: at most 2)", " (asked: at most 1.3)"] : ["", ""];
    console.log(
      `${what}: ratio ${time.toFixed(2)} to the time of reading${askedTime}, ` +
        `${share.toFixed(2)} of the parameters in memory${askedMemory}`,
    );
  }
}

function round(name: Kind, directory: string): Round {
  const args = [fileURLToPath(import.meta.url), name, directory];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  if (status !== 0) throw new Unrecoverable(`${name} ended with ${status}: ${stderr}`);
  return roundSchema.parse(JSON.parse(required(stdout.trim().split("\n").at(-1), "the last line")));
}

/** Writes the checkpoint; returns the size of its weights in bytes. */
function writeCheckpoint(directory: string, dtype: FloatType): number {
  mkdirSync(directory);
  const family = familyOf("gpt2");
  const tensors: Record<string, object> = {};
  let end = 0;
  const parameters = family.parameters(MODEL);
  for (const { name, shape } of parameters) {
    const begin = end;
    end += elements(shape) * bytesPerElement(dtype);
    tensors[name] = { dtype, shape, data_offsets: [begin, end] };
  }
  const json = JSON.stringify(tensors);
  const header = Buffer.from(json.padEnd(Math.ceil(json.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const file = openSync(join(directory, WEIGHTS), "w");
  let size = writeSync(file, length) + writeSync(file, header);
  for (const [i, { shape }] of parameters.entries()) {
    // Bytes that are small numbers in each of the formats.
    size += writeSync(file, new Uint8Array(elements(shape) * bytesPerElement(dtype)).fill(i % 56));
  }
  closeSync(file);
  const files = { ...family.files(MODEL), ...charTokenizerFiles([..."abc"]) };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, name), content);
  return size;
}
