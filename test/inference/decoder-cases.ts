import assert from "node:assert/strict";
import { test } from "node:test";
import type { Tensor } from "@tensorflow/tfjs";
import type { Backend } from "../../worker/backend/load.ts";
import { type Cache, disposeCache, joinCaches, selectSequences } from "../../worker/inference/cache.ts";
import { type Decoder, decoderOf, paddingMask, prefill } from "../../worker/inference/decoder.ts";
import { type Kit, kitOf } from "../../worker/models/ops.ts";
import { type Sample, sampleTheta } from "../worker/families.ts";
import { samples } from "../worker/family-samples.ts";
import { assertClose, backendOrSkip } from "../worker/support.ts";

const TOLERANCE = 1e-5;

/** What a decoder gives with its cache, against the family's own pass over all tokens. */
export async function testDecoders(name: Backend["name"]): Promise<void> {
  const backend = await backendOrSkip(name);
  const skip = backend ? false : `no ${name} backend here`;
  const causal = samples.filter(({ family }) => family.type !== "bert");
  for (const sample of causal) {
    test(`${sample.title}: token by token gives what all at once gives`, { skip }, () => {
      if (backend) within(backend, (kit) => tokenByToken(kit, sample));
    });
    test(`${sample.title}: a sequence in a batch is as if it were alone`, { skip }, () => {
      if (backend) within(backend, (kit) => batched(kit, sample));
    });
  }
}

function within({ tf }: Backend, run: (kit: Kit) => void): void {
  const before = tf.memory().numTensors;
  run(kitOf(tf));
  assert.equal(tf.memory().numTensors, before);
}

function withDecoder(kit: Kit, sample: Sample, use: (decoder: Decoder, rows: number[][]) => void): void {
  const theta = sampleTheta(kit.tf, sample);
  use(decoderOf(kit, sample.family.type, sample.config, theta), allLogits(kit, sample, theta));
  kit.tf.dispose(theta);
}

/** The logits of every token, sequence after sequence. */
function allLogits(kit: Kit, { family, config, ids }: Sample, theta: Record<string, Tensor>): number[][] {
  const [sequences, length] = [ids.length, ids[0]?.length ?? 0];
  const logits = kit.tf.tidy(() =>
    family
      .logits(kit, config, theta, { ids: kit.tf.tensor1d(ids.flat(), "int32"), sequences, length })
      .arraySync(),
  );
  return logits;
}

function tokenByToken(kit: Kit, sample: Sample): void {
  withDecoder(kit, sample, (decoder, expected) => {
    const [tokens = []] = sample.ids;
    for (const first of new Set([1, Math.ceil(tokens.length / 2), tokens.length])) {
      let { logits, cache } = prefill(kit, decoder, tokens.slice(0, first));
      for (let place = first; ; place++) {
        assertClose(logits, expected[place - 1] ?? [], TOLERANCE, `${first} at once, then token ${place}`);
        logits.dispose();
        if (place === tokens.length) break;
        ({ logits, cache } = advance(kit, decoder, cache, [tokens[place] ?? 0], [place]));
      }
      disposeCache(kit, cache);
    }
  });
}

/** The next tokens of sequences whose numbers of tokens before are given; disposes the cache. */
function advance(kit: Kit, decoder: Decoder, cache: Cache, tokens: number[], lengths: number[]) {
  const { tf } = kit;
  const padding = lengths.map((length) => cache.length - length);
  const result = tf.tidy(() =>
    decoder.step({
      sequences: tokens.length,
      length: 1,
      ids: tf.tensor1d(tokens, "int32"),
      positions: lengths,
      cache,
      mask: paddingMask(kit, padding, cache.length + 1),
    }),
  );
  disposeCache(kit, cache);
  return result;
}

/** Two sequences that begin with a different number of tokens; the second one goes on alone. */
function batched(kit: Kit, sample: Sample): void {
  const { tf } = kit;
  const length = sample.ids[0]?.length ?? 0;
  if (length < 3) return;
  withDecoder(kit, sample, (decoder, expected) => {
    const tokens = [sample.ids[0] ?? [], sample.ids.at(-1) ?? []];
    const rows = [0, sample.ids.length - 1];
    const starts = [length - 2, 1];
    const parts = tokens.map((row, i) => prefill(kit, decoder, row.slice(0, starts[i])));
    let cache = joinCaches(
      kit,
      parts.map((part) => part.cache),
    );
    for (const part of parts) {
      part.logits.dispose();
      disposeCache(kit, part.cache);
    }
    for (let step = 0; step < 2; step++) {
      const lengths = starts.map((start) => start + step);
      const next = tokens.map((row, i) => row[lengths[i] ?? 0] ?? 0);
      const result = advance(kit, decoder, cache, next, lengths);
      cache = result.cache;
      const want = rows.flatMap((row, i) => expected[row * length + (lengths[i] ?? 0)] ?? []);
      assertClose(result.logits, want, TOLERANCE, `together, step ${step}`);
      result.logits.dispose();
    }
    if (length < 4) return disposeCache(kit, cache);
    const alone = selectSequences(kit, cache, [1]);
    disposeCache(kit, cache);
    const at = 3;
    const result = advance(kit, decoder, alone, [tokens[1]?.[at] ?? 0], [at]);
    assertClose(result.logits, expected[(rows[1] ?? 0) * length + at] ?? [], TOLERANCE, "alone");
    tf.dispose([result.logits]);
    disposeCache(kit, result.cache);
  });
}
