import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Worker } from "node:worker_threads";
import { generate } from "../../../ml/inference/generate.ts";
import { loadGenerativeModel } from "../../../ml/inference/generative-model.ts";
import { compileKernels } from "../../../ml/inference/kernels.ts";
import { decoderShape } from "../../../ml/inference/shape.ts";
import { createSharedDecoder, type SharedDecoder } from "../../../ml/inference/shared-decoder.ts";
import { loadSharedWeights } from "../../../ml/inference/shared-weights.ts";
import { StepScheduler } from "../../../ml/inference/step-scheduler.ts";
import { ThreadPool } from "../../../ml/inference/thread-pool.ts";
import type { Gpt2 } from "../../../ml/models/gpt2.ts";
import { familyOf } from "../../../ml/models/registry.ts";
import { TEXT, writeCheckpoint } from "../../support/models.ts";

/** A step whose slice fails, in whichever thread, ends with the reason. It never waits for what will not come. */
const THREADS = 3;
const DEADLINE_MS = 20_000;
const CONFIG: Gpt2 = { layers: 2, heads: 8, width: 64, context: 16, vocabulary: 400 };
const directory = mkdtempSync(join(tmpdir(), "ps-failure-"));
after(() => rmSync(directory, { recursive: true, force: true }));

async function sharedDecoder(): Promise<SharedDecoder> {
  const shape = decoderShape(familyOf("gpt2"), CONFIG);
  const parameters = familyOf("gpt2").parameters(CONFIG);
  const weights = await loadSharedWeights({ parameters, read: async (_, into) => into.fill(0.1) }, shape);
  const texts = { count: 1, length: CONFIG.context };
  return createSharedDecoder(shape, weights, texts, { module: compileKernels(), threads: THREADS });
}

/** The decoder with other memory of their own for all threads but the main one. */
const withOwn = (decoder: SharedDecoder, own: SharedDecoder["buffers"]["perThread"]): SharedDecoder => {
  const [main] = decoder.buffers.perThread;
  assert.ok(main);
  return { ...decoder, buffers: { ...decoder.buffers, perThread: [main, ...own] } };
};

/** Does steps until one fails; lets events come between them, as a program does. */
async function failureOf(step: () => void): Promise<Error> {
  const deadline = Date.now() + DEADLINE_MS;
  while (Date.now() < deadline) {
    try {
      step();
    } catch (error) {
      assert.ok(error instanceof Error);
      return error;
    }
    await new Promise(setImmediate);
  }
  throw new Error("no step has failed");
}

const OUT_OF_BOUNDS =
  /^a thread that computes the model has failed: RuntimeError: memory access out of bounds; load/;

test("a slice that fails in another thread ends its step with the reason, and every later one", async () => {
  const decoder = await sharedDecoder();
  const nowhere = { offset: 2 ** 31, stride: 64 };
  const pool = new ThreadPool(THREADS);
  const own = decoder.buffers.perThread.slice(1).map(({ normed }) => ({ normed, scores: nowhere }));
  const id = pool.add(withOwn(decoder, own));
  const { name, message } = await failureOf(() => pool.run(id, 1, 1));
  assert.equal(name, "Unrecoverable");
  assert.match(message, OUT_OF_BOUNDS);
  assert.throws(() => pool.run(id, 1, 1), { message });
  // Threads that have failed do not keep a sound decoder from failing too: their pool is no more.
  const sound = pool.add(decoder);
  assert.throws(() => pool.run(sound, 1, 1), { message });
  pool.close();
});

test("a slice that fails in the main thread does the same", async () => {
  const decoder = await sharedDecoder();
  const pool = new ThreadPool(1);
  const id = pool.add({
    ...decoder,
    cache: decoder.cache.map((each) => ({ ...each, keys: { memory: 0, offset: 2 ** 31 } })),
  });
  assert.throws(() => pool.run(id, 1, 1), { name: "Unrecoverable", message: OUT_OF_BOUNDS });
  pool.close();
});

test("a thread that can't prepare a decoder fails the steps, not the process", async () => {
  const pool = new ThreadPool(THREADS);
  const id = pool.add(withOwn(await sharedDecoder(), []));
  const { message } = await failureOf(() => pool.run(id, 1, 1));
  assert.match(message, /Bug: there is no thread [12]/);
  pool.close();
});

test("a thread that is gone with a slice is waited for a limited time only", async () => {
  const scheduler = new StepScheduler(undefined, 1);
  scheduler.open({ program: 1, vectors: 1, wanted: 1, total: 2 });
  // The first of two stages is taken by a thread that ends within it.
  const file = JSON.stringify(new URL("../../../ml/inference/step-scheduler.ts", import.meta.url).href);
  const code = `
    const { workerData } = require("node:worker_threads");
    const stage = { slices: 1, run: () => process.exit() };
    const program = { workspace: {}, stageOf: [stage, stage], startOf: [0, 1] };
    import(${file}).then(({ StepScheduler }) => new StepScheduler(workerData).work(() => program));`;
  const thread = new Worker(code, { eval: true, workerData: scheduler.memory });
  await once(thread, "exit");
  const stage = { slices: 1, run: () => assert.fail("the stage before is not done") };
  scheduler.work(() => ({ workspace: { vectors: 0, wanted: 0 }, stageOf: [stage, stage], startOf: [0, 1] }));
  assert.throws(() => scheduler.finish(), {
    name: "Unrecoverable",
    message: /no part of a step was done for 1 s/,
  });
});

test("generation fails with the reason, and its model can be disposed", async () => {
  await writeCheckpoint(directory, TEXT);
  const model = await loadGenerativeModel(directory);
  // A decoder that has no room for any text.
  const broken = {
    ...model,
    decoder: ({ length }: { length: number }) => model.decoder({ count: 0, length }),
  };
  const options = { model: broken, prompts: ["Phil"], maxNewTokens: 5, temperature: 0, seed: 1 };
  await assert.rejects(generate(options), { name: "Unrecoverable", message: OUT_OF_BOUNDS });
  model.dispose();
});
