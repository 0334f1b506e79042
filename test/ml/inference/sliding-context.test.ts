import assert from "node:assert/strict";
import { test } from "node:test";
import type { NewToken } from "../../../ml/inference/decoder.ts";
import { SlidingContext } from "../../../ml/inference/sliding-context.ts";
import { ThreadPool } from "../../../ml/inference/thread-pool.ts";
import { opsOf } from "../../../ml/models/layers/ops.ts";
import { loadBackend } from "../../../ml/tensorflow/load.ts";
import { assertClose } from "../../support/models.ts";
import { type Sample, sampleRows, sampleTheta } from "../models/families.ts";
import { samples } from "../models/family-samples.ts";
import { decoderOf } from "./decoders.ts";

/** The tokens that a text's next token is predicted from, past the context too, against whole passes of plain tfjs. */
const { tf } = await loadBackend("auto", { threads: 1 });
const causal = samples.filter(({ family }) => family.type !== "bert");
const TOKENS = 45;
/** Texts of several lengths: one shorter than the contexts, one that fills some, one that goes past them. */
const PROMPTS = [3, 13, 29];

/** The rule as documented: a token comes in, and from a context that is full a quarter (rounded up) leaves first. */
function seenBy(tokens: readonly number[], context: number): number[] {
  const seen: number[] = [];
  for (const token of tokens) {
    if (seen.length === context) seen.splice(0, Math.ceil(context / 4));
    seen.push(token);
  }
  return seen;
}

/** The logits of what follows, by one pass over all that is seen, at positions from 0. */
function expectedOf({ family, config }: Sample, theta: ReturnType<typeof sampleTheta>, seen: number[]) {
  return tf.tidy(() => {
    const tokens = { ids: tf.tensor1d(seen, "int32"), sequences: 1, length: seen.length };
    return family.logits(opsOf(tf), config, theta, tokens).arraySync().at(-1) ?? [];
  });
}

for (const sample of causal) {
  test(`${sample.title}: past the context a token is predicted from the last three quarters of it or more`, async () => {
    const { context, vocabulary } = sample.config;
    const rows = sampleRows(PROMPTS.length, TOKENS, vocabulary, 3);
    const texts = rows.map((row, i) => row.slice(0, PROMPTS[i]));
    const theta = sampleTheta(tf, sample);
    const pool = new ThreadPool(2);
    const decoder = await decoderOf(sample, pool, { texts: { count: rows.length, length: context } });
    const sliding = new SlidingContext(decoder, context, texts);
    for (;;) {
      const open = rows.flatMap((row, i) => ((texts[i] ?? []).length < row.length ? [i] : []));
      if (open.length === 0) break;
      const logits = sliding.next(open);
      for (const [i, text] of open.entries()) {
        const tokens = texts[text] ?? [];
        const expected = expectedOf(sample, theta, seenBy(tokens, context));
        assertClose([...(logits[i] ?? [])], expected, 1e-5, `text ${text} of ${tokens.length}`);
        tokens.push(rows[text]?.[tokens.length] ?? 0);
      }
    }
    decoder.close();
    pool.close();
    tf.dispose(theta);
  });
}

test("however long a text gets, a token costs no more than four on average", () => {
  for (const context of [1, 2, 3, 4, 11, 64]) {
    const tokens = [0];
    let read = 0;
    const decoder = {
      read(added: readonly NewToken[]) {
        read += added.length;
        assert.ok(added.every(({ position }) => position >= 0 && position < context));
        return [];
      },
    };
    const sliding = new SlidingContext(decoder, context, [tokens]);
    for (; tokens.length < 20 * context; tokens.push(tokens.length)) sliding.next([0]);
    assert.ok(read <= 4 * tokens.length, `${read} tokens were read for ${tokens.length} with ${context}`);
  }
});
