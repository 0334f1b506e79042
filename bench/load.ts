import { spawnSync } from "node:child_process";
import {
  closeSync,
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
import { bytesOf } from "../protocol/digest.ts";
import { planLayout } from "../protocol/layout.ts";
import { elements, encodeHeader } from "../protocol/safetensors.ts";
import { loadBackend } from "../worker/backend/load.ts";
import { loadLanguageModel } from "../worker/inference/language-model.ts";
import { familyOf } from "../worker/models/family.ts";
import type { Gpt2 } from "../worker/models/gpt2.ts";
import { charTokenizerFiles } from "../worker/tokenizers/char.ts";
import { median, report } from "./support/report.ts";

/**
 * Loading a checkpoint of GPT-2's size (124 M parameters, 498 MB) onto the backend, against reading its file
 * into memory, which it can't do without; reading it through one small buffer is shown beside it. Each round is a process of its own; memory is the process's peak over that of one that has loaded the
 * backend only. Asked: at most 2 times the time, at most 1.3 times the file in memory.
 */

const ROUNDS = 5;
const MODEL: Gpt2 = { layers: 12, heads: 12, width: 768, context: 1024, vocabulary: 50257 };
const WEIGHTS = "model.safetensors";
const READ_BYTES = 8 << 20;
const MIB = 2 ** 20;

/** What a round gives: milliseconds, and the peak of the process's memory in bytes. */
type Round = { readonly ms: number; readonly peak: number };

const rounds: Readonly<Record<string, (directory: string) => Promise<void>>> = {
  nothing: async () => {},
  async read(directory) {
    readFileSync(join(directory, WEIGHTS));
  },
  async pass(directory) {
    const file = openSync(join(directory, WEIGHTS), "r");
    const buffer = new Uint8Array(READ_BYTES);
    while (readSync(file, buffer) > 0);
    closeSync(file);
  },
  async load(directory) {
    await loadLanguageModel(directory, await loadBackend("auto"));
  },
};

const [kind = "", at = ""] = process.argv.slice(2);
if (kind === "") compare();
else {
  const backend = await loadBackend("auto");
  // The first tensor starts the library's threads.
  backend.tf.add(backend.tf.ones([4]), 1).dataSync();
  const start = performance.now();
  await rounds[kind]?.(at);
  const round: Round = { ms: performance.now() - start, peak: process.resourceUsage().maxRSS * 1024 };
  console.log(JSON.stringify(round));
}

function compare(): void {
  const directory = mkdtempSync(join(tmpdir(), "ps-bench-load-"));
  try {
    const size = writeCheckpoint(directory);
    const results: Record<string, Round[]> = { nothing: [], pass: [], read: [], load: [] };
    for (let i = 0; i < ROUNDS; i++) {
      for (const [name, list] of Object.entries(results)) list.push(round(name, directory));
    }
    const middle = (name: string, of: keyof Round) => median((results[name] ?? []).map((each) => each[of]));
    const memory = middle("load", "peak") - middle("nothing", "peak");
    report(`load a checkpoint of ${(size / 1e6).toFixed(0)} MB, medians of ${ROUNDS}`, {
      "read the file through a buffer of 8 MiB, ms": middle("pass", "ms"),
      "read the file into memory, ms": middle("read", "ms"),
      "load the model, ms": middle("load", "ms"),
      "memory of the loaded model at its peak, MiB": memory / MIB,
    });
    const time = middle("load", "ms") / middle("read", "ms");
    console.log(`ratio ${time.toFixed(2)} to the time of reading (asked: at most 2)`);
    console.log(`ratio ${(memory / size).toFixed(2)} of the file in memory (asked: at most 1.3)`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function round(name: string, directory: string): Round {
  const args = [fileURLToPath(import.meta.url), name, directory];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
}

/** Writes the checkpoint; returns the size of its weights in bytes. */
function writeCheckpoint(directory: string): number {
  const family = familyOf("gpt2");
  const { tensors } = planLayout(family.parameters(MODEL), 1, 1);
  const file = openSync(join(directory, WEIGHTS), "w");
  let size = writeSync(file, encodeHeader(tensors, { format: "pt" }));
  for (const [i, { shape }] of tensors.entries()) {
    size += writeSync(file, bytesOf(new Float32Array(elements(shape)).fill(i / 100)));
  }
  closeSync(file);
  const files = { ...family.files(MODEL), ...charTokenizerFiles([..."abc"]) };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, name), content);
  return size;
}
