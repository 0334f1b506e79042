import assert from "node:assert/strict";
import { test } from "node:test";
import { parseJob, parseJobFile } from "../../protocol/job.ts";

const gpt2 = { type: "gpt2", layers: 2, heads: 2, width: 128, context: 64 };
const minimal = { name: "a", model: gpt2, data: "my.txt", steps: 300 };

test("a job file needs only model, data and steps", () => {
  const job = parseJobFile(minimal, "a.json");
  assert.deepEqual(job.data, { type: "text", path: "my.txt", field: "text", heldOut: 0.1 });
  assert.equal(job.tokenizer, "char");
  assert.equal(job.batch, 16);
  assert.equal(job.workers, undefined);
  assert.equal(job.shards, undefined);
  const { type, learningRate, clipNorm, schedule } = job.optimizer;
  assert.equal(type, "adamw");
  assert.equal(clipNorm, 1);
  assert.deepEqual(schedule, {
    type: "cosine",
    warmup: 30,
    decaySteps: 300,
    minLearningRate: learningRate / 10,
  });
});

test("an optimizer without a type overrides the default one, field by field", () => {
  const { optimizer } = parseJobFile(
    { ...minimal, optimizer: { learningRate: 0.5, clipNorm: null, schedule: { warmup: 7 } } },
    "a.json",
  );
  const plain = parseJobFile(minimal, "a.json").optimizer;
  assert.deepEqual(optimizer, {
    ...plain,
    learningRate: 0.5,
    clipNorm: null,
    schedule: { ...plain.schedule, warmup: 7, minLearningRate: 0.05 },
  });
});

test("an optimizer with a type has the defaults of its type only", () => {
  const job = parseJobFile({ ...minimal, optimizer: { type: "adam", learningRate: 0.5 } }, "a.json");
  assert.deepEqual(job.optimizer, {
    type: "adam",
    learningRate: 0.5,
    clipNorm: null,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weightDecay: 0,
    schedule: { type: "constant", warmup: 0, decaySteps: 300, minLearningRate: 0 },
  });
  assert.throws(
    () => parseJobFile({ ...minimal, optimizer: { type: "sgd" } }, "a.json"),
    /^InvalidInput: a\.json: optimizer\.learningRate is required \(number\)$/,
  );
  assert.throws(
    () => parseJobFile({ ...minimal, optimizer: { type: "lion" } }, "a.json"),
    /optimizer\.type must be "sgd" or "momentum" or "nesterov" or "adam" or "adamw", got "lion"/,
  );
  assert.throws(
    () => parseJobFile({ ...minimal, optimizer: { momentum: 0.9 } }, "a.json"),
    /optimizer\.momentum is not a known field/,
  );
});

test("every kind of model has a batch and an optimizer", () => {
  const kinds = [
    { model: { ...gpt2, context: 1024 }, batch: 4 },
    { model: { ...gpt2, type: "llama", context: 8 }, batch: 64 },
    { model: { ...gpt2, type: "bert", width: 768 }, batch: 16 },
    { model: { from: "my-model" }, batch: 8 },
    { model: { from: "my-model", context: 128 }, batch: 8 },
    { model: { module: "my.ts" }, data: { type: "module" }, batch: 32 },
    { model: { type: "linear", inputs: 2, outputs: 2 }, data: { type: "linear" }, batch: 32 },
  ];
  for (const { batch, ...changes } of kinds) {
    const job = parseJobFile({ ...minimal, ...changes }, "a.json");
    assert.equal(job.batch, batch);
    assert.equal(job.optimizer.type, "adamw");
    assert.ok(job.optimizer.learningRate > 0 && job.optimizer.learningRate <= 0.1);
  }
});

test("types that another field implies may be left out", () => {
  assert.equal(parseJobFile({ ...minimal, model: { from: "x" } }, "a").model.type, "pretrained");
  assert.equal(parseJobFile({ ...minimal, model: { module: "x", context: 8 } }, "a").model.type, "module");
  const { data } = parseJobFile({ ...minimal, data: { path: "x.jsonl", field: "body" } }, "a");
  assert.deepEqual(data, { type: "text", path: "x.jsonl", field: "body", heldOut: 0.1 });
});

test("a stored job has its number of shards, and reads as it was written", () => {
  const job = { ...parseJobFile(minimal, "a.json"), shards: 3 };
  assert.deepEqual(parseJob(JSON.parse(JSON.stringify(job)), "job.json"), job);
  assert.throws(() => parseJob(minimal, "job.json"), /job\.json: shards is required/);
});
