import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { stepShard, type Vectors } from "../../functions/aggregator/optimizer.ts";
import type { Range } from "../../protocol/layout.ts";
import type { OptimizerSpec } from "../../protocol/optimizer-spec.ts";
import { python, withoutModules } from "../support/python.ts";
import { reference } from "./reference.ts";
import { assertNear, assertSameBytes, dirty, numbers, optimizerOf, startAt } from "./vectors.ts";

const common = { learningRate: 0.01, weightDecay: 0.1 };
const optimizers = [
  { type: "sgd", ...common },
  { type: "momentum", ...common, momentum: 0.9 },
  { type: "nesterov", ...common, momentum: 0.9 },
  { type: "adam", ...common, beta1: 0.9, beta2: 0.95, epsilon: 1e-8 },
  { type: "adamw", ...common, beta1: 0.9, beta2: 0.95, epsilon: 1e-8 },
].map(optimizerOf);

const RANKS = 3;

/** A small problem: parameters, and each step's gradients by rank. */
function problem(length: number, steps: number) {
  const parameters = numbers(1, length);
  const gradients = Array.from({ length: steps }, (_, t) =>
    Array.from({ length: RANKS }, (_, r) => numbers(10 + t * RANKS + r, length)),
  );
  const decaying = [
    { start: 0, end: Math.ceil(length / 3) },
    { start: Math.ceil(length / 2), end: length - 1 },
  ].filter(({ start, end }) => start < end);
  return { parameters, gradients, decaying };
}

/** The version after all steps of elements [start, end) of a problem, as their shard's aggregator computes it. */
function train(
  optimizer: OptimizerSpec,
  { parameters, gradients, decaying }: ReturnType<typeof problem>,
  { start, end }: Range = { start: 0, end: parameters.length },
): Vectors {
  let current = startAt(parameters.slice(start, end), optimizer);
  const inShard = decaying
    .map((range) => ({ start: Math.max(range.start, start) - start, end: Math.min(range.end, end) - start }))
    .filter((range) => range.start < range.end);
  for (const [step, all] of gradients.entries()) {
    const next = dirty(current);
    const pieces = all.map((gradient) => gradient.subarray(start, end));
    stepShard({ optimizer, step, gradients: pieces, reduce: "mean", decaying: inShard, current, next });
    current = next;
  }
  return current;
}

/** Mean over the ranks, in float64. */
const meanOf = (all: readonly Float32Array[]): number[] =>
  Array.from(all[0] ?? [], (_, i) => all.reduce((sum, gradient) => sum + (gradient[i] ?? 0), 0) / all.length);

const decays = (decaying: readonly Range[], length: number): boolean[] =>
  Array.from({ length }, (_, i) => decaying.some(({ start, end }) => start <= i && i < end));

for (const optimizer of optimizers) {
  const { type } = optimizer;

  test(`${type}: 20 steps equal a plain float64 computation of PyTorch's formulas`, () => {
    const given = problem(257, 20);
    const expected = reference(
      optimizer,
      given.parameters,
      given.gradients.map(meanOf),
      decays(given.decaying, 257),
    );
    const { parameters, slots } = train(optimizer, given);
    assertNear(parameters, expected.parameters, 1e-6, "parameters");
    assert.equal(slots.length, expected.slots.length);
    for (const [i, slot] of slots.entries()) assertNear(slot, expected.slots[i] ?? [], 1e-6, `slot ${i}`);
  });

  test(`${type}: any cut into shards gives the same bytes`, () => {
    // More than two blocks of any optimizer, and no multiple of anything.
    const length = 90_001;
    const given = problem(length, 3);
    const whole = train(optimizer, given);
    const even = [2, 3, 7].map((n) =>
      Array.from({ length: n - 1 }, (_, i) => Math.floor((length * (i + 1)) / n)),
    );
    const odd = [1, 1 + 3, 4 + 5, 9 + 1023, 1032 + 1025];
    for (const cuts of [...even, odd]) {
      const edges = [0, ...cuts, length];
      for (const [i, end] of edges.slice(1).entries()) {
        const start = edges[i] ?? 0;
        const shard = train(optimizer, given, { start, end });
        const what = `[${start}, ${end})`;
        assertSameBytes(shard.parameters, whole.parameters.slice(start, end), `parameters ${what}`);
        for (const [s, slot] of shard.slots.entries())
          assertSameBytes(slot, (whole.slots[s] ?? slot).slice(start, end), `slot ${s} ${what}`);
      }
    }
  });

  test(`${type}: the same inputs give the same bytes, and stay as they are`, () => {
    const length = 1025;
    const { decaying, gradients } = problem(length, 1);
    const vectors = () => ({
      parameters: numbers(1, length),
      slots: startAt(numbers(1, length), optimizer).slots,
    });
    const current = vectors();
    for (const slot of current.slots) slot.set(numbers(2, length).map(Math.abs));
    const pieces = gradients[0] ?? [];
    const before = structuredClone({ current, pieces });
    const [first, second] = [dirty(current), dirty(current)];
    for (const next of [first, second])
      stepShard({ optimizer, step: 4, gradients: pieces, reduce: "sum", decaying, current, next });
    assert.deepEqual(first, second);
    assert.deepEqual({ current, pieces }, before);
    assert.ok(first.parameters.every(Number.isFinite));
  });

  test(`${type}: weight decay reaches its ranges only, by learning rate times weight decay`, () => {
    const length = 40;
    const current = startAt(new Float32Array(length).fill(2), optimizer);
    const next = dirty(current);
    const decaying = [
      { start: 1, end: 3 },
      { start: 17, end: 38 },
    ];
    const gradients = [new Float32Array(length)];
    stepShard({ optimizer, step: 0, gradients, reduce: "mean", decaying, current, next });
    for (const [i, decay] of decays(decaying, length).entries()) {
      if (!decay) assert.equal(next.parameters[i], 2, `element ${i} must stay`);
      else assert.ok((next.parameters[i] ?? 2) < 2, `element ${i} must shrink`);
    }
    if (type === "sgd" || type === "adamw")
      assertNear([next.parameters[1] ?? 0], [2 - 0.01 * 0.1 * 2], 1e-6, type);
  });
}

const skip = withoutModules("torch");

test("20 steps of every optimizer equal those of torch.optim", { skip }, () => {
  const given = problem(257, 20);
  const input = JSON.stringify({
    optimizers,
    parameters: Array.from(given.parameters),
    gradients: given.gradients.map(meanOf),
    decays: decays(given.decaying, 257),
  });
  const script = fileURLToPath(new URL("../python/optimizers.py", import.meta.url));
  const { stdout, stderr, status } = spawnSync(python, [script], { input, encoding: "utf8" });
  assert.equal(status, 0, stderr);
  const answers: number[][] = JSON.parse(stdout);
  assert.equal(answers.length, optimizers.length);
  for (const [i, optimizer] of optimizers.entries())
    assertNear(train(optimizer, given).parameters, answers[i] ?? [], 1e-6, optimizer.type);
});
