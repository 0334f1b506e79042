import assert from "node:assert/strict";
import { test } from "node:test";
import { textWindows, type WindowBatch, type WindowedModel } from "../../../ml/inference/text-windows.ts";
import { charTokenizerFiles } from "../../../ml/tokenizers/char.ts";
import { openTokenizer } from "../../../ml/tokenizers/open-tokenizer.ts";

const CONTEXT = 4;
const tokenizer = openTokenizer(charTokenizerFiles([..."abc"]), "tokenizer.json");

/** @param vocabulary of the model; a large one makes small batches */
const modelOf = (vocabulary = 1000, userCode = false): WindowedModel => ({
  config: { layers: 1, context: CONTEXT, vocabulary },
  tokenizer,
  userCode,
  family: { masked: false },
});

/** The batches of 0, 1, 2 ... count - 1, added `size` tokens at a time. */
function batchesOf(model: WindowedModel, count: number, size: number): WindowBatch[] {
  const windows = textWindows(model);
  const ids = Array.from({ length: count }, (_, i) => i);
  const batches: WindowBatch[] = [];
  for (let start = 0; start < count; start += size)
    batches.push(...windows.add(ids.slice(start, start + size)));
  return [...batches, ...windows.end()];
}

test("windows predict every token but the first once, from those before it in its window", () => {
  for (const count of [2, 4, 5, 6, 64, 65, 66, 200]) {
    for (const size of [1, 7, 300]) {
      const batches = batchesOf(modelOf(), count, size);
      const targets = batches.flatMap((batch) => [...batch.targets]);
      assert.deepEqual(
        targets,
        Array.from({ length: count - 1 }, (_, i) => i + 1),
      );
      for (const { ids, targets, sequences, positions } of batches) {
        assert.deepEqual(
          [...ids],
          [...targets].map((target) => target - 1),
        );
        assert.ok(ids.length / sequences <= CONTEXT);
        assert.equal(positions, null);
      }
    }
  }
});

test("batches have 16 windows, fewer for a large vocabulary, and the rest comes alone", () => {
  const sequences = (model: WindowedModel, count: number) =>
    batchesOf(model, count, 50).map((batch) => batch.sequences);
  assert.deepEqual(sequences(modelOf(), 16 * CONTEXT + 1), [16]);
  assert.deepEqual(sequences(modelOf(), 18 * CONTEXT + 2), [16, 1, 1, 1]);
  assert.deepEqual(sequences(modelOf(2 ** 22), 5 * CONTEXT + 1), [2, 2, 1]);
  assert.deepEqual(sequences(modelOf(2 ** 30), 2 * CONTEXT + 1), [1, 1]);
});

test("a user's code gets whole windows only", () => {
  const targets = batchesOf(modelOf(1000, true), 2 * CONTEXT + 3, 5).flatMap((batch) => [...batch.targets]);
  assert.deepEqual(targets, [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.deepEqual(batchesOf(modelOf(1000, true), CONTEXT, 5), []);
});
