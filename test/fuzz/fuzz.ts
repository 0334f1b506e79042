import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { mutate, randomOf } from "./mutate.ts";
import { TARGETS } from "./targets.ts";

/** An input that a target did not answer with a result, or an error raised on purpose. */
export type Finding = { readonly input: Uint8Array; readonly why: string };

const HANG_MS = 2000;
const HEAP_MB = 512;
const CASES = join(import.meta.dirname, "cases");

/** Inputs that were findings once: each must stay mended. */
export function casesOf(name: string): Uint8Array[] {
  const folder = join(CASES, name);
  return existsSync(folder) ? readdirSync(folder).map((file) => readFileSync(join(folder, file))) : [];
}

/** Keeps a finding as a case. Returns its file. */
export function keep(name: string, { input }: Finding): string {
  const folder = join(CASES, name);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, createHash("sha256").update(input).digest("hex").slice(0, 16));
  writeFileSync(file, input);
  return file;
}

/** Runs a target's cases, and then changed inputs until the time is over or something is found. */
export async function fuzz(
  name: string,
  ms: number,
  seed: number,
): Promise<{ runs: number; finding: Finding | null }> {
  const random = randomOf(seed);
  const target = await TARGETS[name]?.();
  if (!target) throw new Error(`there is no target ${name}; there are ${Object.keys(TARGETS).join(", ")}`);
  const corpus = [...target.seeds, ...casesOf(name)];
  const pick = () => corpus[random(corpus.length)] ?? new Uint8Array();
  const deadline = Date.now() + ms;
  const thread = new Worker(new URL("./fuzz-thread.ts", import.meta.url), {
    workerData: name,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
  });
  try {
    await once(thread, "message");
    let runs = 0;
    for (; runs < corpus.length || Date.now() < deadline; runs++) {
      const input = corpus[runs] ?? mutate(pick(), pick(), random);
      const why = await runOn(thread, input);
      if (why !== null) return { runs, finding: { input, why } };
    }
    return { runs, finding: null };
  } finally {
    await thread.terminate();
  }
}

/** Returns null for an answer as it should be. */
async function runOn(thread: Worker, input: Uint8Array): Promise<string | null> {
  return new Promise((resolve) => {
    const settle = (why: string | null) => {
      clearTimeout(timer);
      for (const [event, listener] of Object.entries(listeners)) thread.off(event, listener);
      resolve(why);
    };
    const listeners = {
      message: settle,
      error: (error: Error) => settle(error.stack ?? error.message),
      exit: (code: number) => settle(`the thread ended with ${code}`),
    };
    const timer = setTimeout(() => settle(`no answer after ${HANG_MS} ms`), HANG_MS);
    for (const [event, listener] of Object.entries(listeners)) thread.on(event, listener);
    thread.postMessage(input);
  });
}
