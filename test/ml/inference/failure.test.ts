import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Worker } from "node:worker_threads";
import { Crew } from "../../../ml/inference/crew.ts";
import { generate } from "../../../ml/inference/generate.ts";
import { compileKernels } from "../../../ml/inference/kernels.ts";
import { type DecoderPlan, planDecoder } from "../../../ml/inference/plan.ts";
import { Schedule } from "../../../ml/inference/schedule.ts";
import { decoderShape } from "../../../ml/inference/shape.ts";
import { shareWeights } from "../../../ml/inference/share-weights.ts";
import { loadTextModel } from "../../../ml/inference/text-model.ts";
import type { Gpt2 } from "../../../ml/models/gpt2.ts";
import { familyOf } from "../../../ml/models/registry.ts";
import { TEXT, writeCheckpoint } from "../../support/models.ts";

/** A step whose chunk fails, in whichever thread, ends with the reason. It never waits for what will not come. */
const THREADS = 3;
const DEADLINE_MS = 20_000;
const CONFIG: Gpt2 = { layers: 2, heads: 8, width: 64, context: 16, vocabulary: 400 };
const directory = mkdtempSync(join(tmpdir(), "ps-failure-"));
after(() => rmSync(directory, { recursive: true, force: true }));

async function planOf(): Promise<DecoderPlan> {
  const shape = decoderShape("gpt2", CONFIG);
  const parameters = familyOf("gpt2").parameters(CONFIG);
  const weights = await shareWeights({ parameters, read: async (_, into) => into.fill(0.1) }, shape);
  const texts = { count: 1, length: CONFIG.context };
  return planDecoder(shape, weights, texts, { module: compileKernels(), threads: THREADS });
}

/** The plan with other memory of their own for all threads but the main one. */
const withOwn = (plan: DecoderPlan, own: DecoderPlan["buffers"]["own"]): DecoderPlan => {
  const [main] = plan.buffers.own;
  assert.ok(main);
  return { ...plan, buffers: { ...plan.buffers, own: [main, ...own] } };
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

test("a chunk that fails in another thread ends its step with the reason, and every later one", async () => {
  const plan = await planOf();
  const nowhere = { place: 2 ** 31, stride: 64 };
  const crew = new Crew(THREADS);
  const own = plan.buffers.own.slice(1).map(({ normed }) => ({ normed, scores: nowhere }));
  const id = crew.add(withOwn(plan, own));
  const { name, message } = await failureOf(() => crew.run(id, 1, 1));
  assert.equal(name, "Unrecoverable");
  assert.match(message, OUT_OF_BOUNDS);
  assert.throws(() => crew.run(id, 1, 1), { message });
  // Threads that have failed do not keep a sound plan from failing too: their crew is no more.
  const sound = crew.add(plan);
  assert.throws(() => crew.run(sound, 1, 1), { message });
  crew.close();
});

test("a chunk that fails in the main thread does the same", async () => {
  const plan = await planOf();
  const crew = new Crew(1);
  const id = crew.add({
    ...plan,
    cache: plan.cache.map((each) => ({ ...each, keys: { slab: 0, place: 2 ** 31 } })),
  });
  assert.throws(() => crew.run(id, 1, 1), { name: "Unrecoverable", message: OUT_OF_BOUNDS });
  crew.close();
});

test("a thread that can't prepare a plan fails the steps, not the process", async () => {
  const crew = new Crew(THREADS);
  const id = crew.add(withOwn(await planOf(), []));
  const { message } = await failureOf(() => crew.run(id, 1, 1));
  assert.match(message, /RangeError: there is no thread [12]/);
  crew.close();
});

test("a thread that is gone with a chunk in hand is not waited for without end", async () => {
  const schedule = new Schedule(undefined, 1);
  schedule.open({ program: 1, vectors: 1, wanted: 1, total: 2 });
  // The first of two phases is taken by a thread that ends within it.
  const file = JSON.stringify(new URL("../../../ml/inference/schedule.ts", import.meta.url).href);
  const code = `
    const { workerData } = require("node:worker_threads");
    const phase = { chunks: 1, run: () => process.exit() };
    const program = { machine: {}, phaseOf: [phase, phase], startOf: [0, 1] };
    import(${file}).then(({ Schedule }) => new Schedule(workerData).work(() => program));`;
  const thread = new Worker(code, { eval: true, workerData: schedule.shared });
  await once(thread, "exit");
  const phase = { chunks: 1, run: () => assert.fail("the phase before is not done") };
  schedule.work(() => ({ machine: { vectors: 0, wanted: 0 }, phaseOf: [phase, phase], startOf: [0, 1] }));
  assert.throws(() => schedule.finish(), {
    name: "Unrecoverable",
    message: /no part of a step was done for 1 s/,
  });
});

test("generation fails with the reason, and its model can be disposed", async () => {
  await writeCheckpoint(directory, TEXT);
  const model = await loadTextModel(directory);
  // A decoder that has no room for any text.
  const broken = {
    ...model,
    decoder: ({ length }: { length: number }) => model.decoder({ count: 0, length }),
  };
  const options = { model: broken, prompts: ["Phil"], maxNewTokens: 5, temperature: 0, seed: 1 };
  await assert.rejects(generate(options), { name: "Unrecoverable", message: OUT_OF_BOUNDS });
  model.dispose();
});
