import assert from "node:assert/strict";
import { test } from "node:test";
import {
  checkText,
  gatherWindows,
  heldOutStarts,
  splitText,
  trainingStarts,
} from "../../../ml/data/batches.ts";
import { examplesOf, solutionOf } from "../../../ml/data/linear.ts";
import { assertClose, tinyJob } from "../../support/models.ts";

const CONTEXT = 8;
const split = splitText({ tokens: 1000 }, 0.1);

/** The starts of every micro-batch of `steps` steps. */
function allStarts(job: ReturnType<typeof tinyJob>, steps: number): number[][] {
  const starts: number[][] = [];
  for (let step = 0; step < steps; step++) {
    for (let rank = 0; rank < job.ranks; rank++) {
      for (let micro = 0; micro < job.accumulation; micro++) {
        starts.push(trainingStarts(job, split.training, CONTEXT, { step, rank, micro }));
      }
    }
  }
  return starts;
}

test("the held-out part is the end of the text, and no window of one part reaches into the other", () => {
  assert.deepEqual(split, { training: { start: 0, end: 900 }, heldOut: { start: 900, end: 1000 } });
  const job = tinyJob({ ranks: 2, accumulation: 2, batch: 5 });
  const training = allStarts(job, 200).flat();
  assert.ok(training.every((start) => start >= 0 && start + CONTEXT + 1 <= 900));
  // With 4,000 draws of 892 places, both ends are drawn.
  assert.equal(Math.min(...training), 0);
  assert.equal(Math.max(...training), 900 - CONTEXT - 1);
  const heldOut = heldOutStarts(split.heldOut, CONTEXT, 7);
  assert.ok(heldOut.every((start) => start >= 900 && start + CONTEXT + 1 <= 1000));
});

test("a batch is the same whenever it is drawn and differs by seed, step, rank and micro-batch", () => {
  const job = tinyJob({ ranks: 2, accumulation: 2, batch: 5 });
  assert.deepEqual(allStarts(job, 3), allStarts(job, 3));
  const batches = [...allStarts(job, 3), ...allStarts({ ...job, seed: 1 }, 3)];
  assert.equal(new Set(batches.map(String)).size, batches.length);
});

test("sequential batches take every window once, over all ranks and rows, and then start again", () => {
  const job = tinyJob({ ranks: 2, accumulation: 2, batch: 7, order: "sequential" });
  const windows = Math.floor(899 / CONTEXT); // 112, which is 4 steps of 28 windows
  const starts = allStarts(job, 8).flat();
  const expected = Array.from({ length: windows }, (_, i) => i * CONTEXT);
  assert.deepEqual(starts, [...expected, ...expected]);
});

test("held-out windows are spread evenly from the first position to the last", () => {
  assert.deepEqual(heldOutStarts({ start: 900, end: 1000 }, CONTEXT, 4), [900, 930, 960, 991]);
  assert.deepEqual(heldOutStarts({ start: 900, end: 1000 }, CONTEXT, 1), [900]);
  assert.deepEqual(heldOutStarts({ start: 0, end: 9 }, CONTEXT, 3), [0, 0, 0]);
});

test("targets are the inputs moved by one token", () => {
  const tokens = {
    read(start: number, into: Int32Array) {
      for (let i = 0; i < into.length; i++) into[i] = start + i;
    },
  };
  const { inputs, targets } = gatherWindows(tokens, [10, 90], 3);
  assert.deepEqual([...inputs], [10, 11, 12, 90, 91, 92]);
  assert.deepEqual([...targets], [11, 12, 13, 91, 92, 93]);
});

test("a text that is too short is refused with the field and the numbers", () => {
  checkText(tinyJob({ evaluateEvery: 1 }), { tokens: 30 });
  assert.throws(() => checkText(tinyJob(), { tokens: 12 }), {
    name: "InvalidInput",
    message:
      "model.context must be below the number of training tokens 8, got 8: data.path has 12 tokens and data.heldOut is 0.3",
  });
  checkText(tinyJob(), { tokens: 20 });
  assert.throws(() => checkText(tinyJob({ evaluateEvery: 1 }), { tokens: 20 }), {
    message: /number of held-out tokens 6, got 8/,
  });
  const none = tinyJob({ evaluateEvery: 1, data: { type: "text", path: "t", heldOut: 0 } });
  assert.throws(() => checkText(none, { tokens: 1000 }), { message: /held-out tokens 0/ });
});

test("generated examples follow their solution and depend on the seed and their number only", () => {
  const solution = solutionOf(5, 3, 2);
  assert.notDeepEqual(solution, solutionOf(6, 3, 2));
  const { x, y } = examplesOf(5, solution, 3, [4, 9]);
  const [first, second] = [examplesOf(5, solution, 3, [4]), examplesOf(5, solution, 3, [9])];
  assert.deepEqual([...x], [...first.x, ...second.x]);
  assert.notDeepEqual(first.x, second.x);
  for (const row of [0, 1]) {
    for (const column of [0, 1]) {
      const products = [0, 1, 2].map((i) => (x[row * 3 + i] ?? 0) * (solution[i * 2 + column] ?? 0));
      assertClose([y[row * 2 + column] ?? 0], [products.reduce((a, b) => a + b)], 1e-6, `row ${row}`);
    }
  }
});
