import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Worker } from "node:worker_threads";
import { generate } from "../../../ml/inference/generate.ts";
import { loadGenerativeModel } from "../../../ml/inference/generative-model.ts";
import type { Gpt2 } from "../../../ml/models/gpt2.ts";
import { familyOf } from "../../../ml/models/registry.ts";
import { charTokenizerFiles } from "../../../ml/tokenizers/char.ts";
import { writeModel } from "../../support/models.ts";

/** The memory of generation does not grow with its text, and nothing of a model is left when it is disposed. */
setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");
process.env.TF_NUM_INTRAOP_THREADS = "3";

const MODEL: Gpt2 = { layers: 2, heads: 2, width: 64, context: 32, vocabulary: 8000 };
const directory = mkdtempSync(join(tmpdir(), "ps-memory-"));
after(() => rmSync(directory, { recursive: true, force: true }));
writeModel(directory, familyOf("gpt2"), MODEL);
for (const [name, bytes] of Object.entries(charTokenizerFiles([..."abc"])))
  writeFileSync(join(directory, name), bytes);

const [WARM, TOKENS] = [300, 1500];
/** The logits of a token. */
const LOGITS = 4 * MODEL.vocabulary;

/** Bytes that JavaScript holds, and those of the process with all its threads. */
function held(): { own: number; process: number } {
  collect();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { own: heapUsed + external, process: rss };
}

test("memory does not grow with the tokens generated, past the context too", async () => {
  const model = await loadGenerativeModel(directory);
  const samples: ReturnType<typeof held>[] = [];
  let tokens = 0;
  // Its logits pass here between two tokens.
  const signal = AbortSignal.any([]);
  signal.throwIfAborted = () => {
    tokens++;
    if (tokens === WARM || tokens === TOKENS) samples.push(held());
  };
  const options = { model, prompts: ["abc"], maxNewTokens: TOKENS, temperature: 0, seed: 1, signal };
  await generate(options);
  model.dispose();
  const [before, later] = samples;
  assert.ok(before && later);
  // The process's own memory swings by some megabytes.
  const most = ((TOKENS - WARM) * LOGITS) / 2;
  assert.ok(later.own - before.own < most, `${before.own} bytes became ${later.own}`);
  assert.ok(later.process - before.process < most, `${before.process} bytes became ${later.process}`);
});

test("disposing a model ends its threads", async () => {
  const threads: Worker[] = [];
  const started = (worker: Worker) => threads.push(worker);
  process.on("worker", started);
  const model = await loadGenerativeModel(directory);
  process.off("worker", started);
  const options = { model, prompts: ["abc", "b"], maxNewTokens: 5, temperature: 0, seed: 1 };
  await generate(options);
  assert.ok(threads.length > 0);
  const ended = threads.map((thread) => once(thread, "exit", { signal: AbortSignal.timeout(20_000) }));
  for (const thread of threads) thread.ref();
  try {
    model.dispose();
    assert.deepEqual(
      await Promise.all(ended),
      threads.map(() => [0]),
    );
  } finally {
    // One that goes on must not keep the test from failing.
    for (const thread of threads) thread.unref();
  }
});
