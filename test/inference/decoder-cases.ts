import assert from "node:assert/strict";
import { test } from "node:test";
import type { Tensor } from "@tensorflow/tfjs";
import type { Backend } from "../../worker/backend/load.ts";
import { canRecord } from "../../worker/backend/program.ts";
import {
  advance as advanceCache,
  type Cache,
  disposeCache,
  joinCaches,
  prefill,
  selectSequences,
} from "../../worker/inference/cache.ts";
import { type Decoder, decoderOf } from "../../worker/inference/decoder.ts";
import { type Programs, RecordedSteps } from "../../worker/inference/recorded-steps.ts";
import { type Kit, kitOf } from "../../worker/models/ops.ts";
import { type Sample, sampleRows, sampleTheta } from "../worker/families.ts";
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
  for (const sample of long) {
    test(`${sample.title}: recorded steps give what all at once gives`, {
      skip: backend && canRecord(backend.tf) ? false : "this backend does not record",
    }, () => {
      if (backend) within(backend, (kit) => recordedSteps(kit, sample));
    });
  }
}

const long: readonly Sample[] = samples
  .filter(({ title }) => /^(gpt2|llama, six heads.*)$/.test(title))
  .map((sample) => {
    const config = { ...sample.config, context: 150 };
    const ids = sampleRows(2, 150, config.vocabulary, 3);
    return { ...sample, title: `${sample.title}, 150 tokens`, config, ids, labels: ids };
  });

/** Recorded steps, which move what they keep and record anew when these are too many. */
function recordedSteps(kit: Kit, sample: Sample): void {
  withDecoder(kit, sample, (decoder, expected) => {
    const starts = [41, 3];
    const parts = sample.ids.map((row, i) => prefill(kit, decoder, row.slice(0, starts[i])));
    const cache = joinCaches(
      kit,
      parts.map((part) => part.cache),
    );
    const programs: Programs = new Map();
    const steps = new RecordedSteps(kit, decoder, cache, programs);
    for (const part of [...parts.map((part) => part.cache), cache]) disposeCache(kit, part);
    kit.tf.dispose(parts.map(({ logits }) => logits));
    for (let step = 0; step < 150 - 41; step++) {
      const lengths = starts.map((start) => start + step);
      const logits = steps.step(
        sample.ids.map((row, i) => row[lengths[i] ?? 0] ?? 0),
        lengths,
      );
      const want = [0, 1].flatMap((row) => expected[150 * row + (lengths[row] ?? 0)] ?? []);
      assertClose(logits, want, TOLERANCE, `step ${step}`);
      logits.dispose();
    }
    steps.dispose();
    assert.deepEqual([...programs.keys()], ["2 x 64", "2 x 128", "2 x 256"]);
    for (const program of programs.values()) program.dispose();
  });
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

/** The next token of each sequence; disposes the cache. */
function advance(kit: Kit, decoder: Decoder, cache: Cache, tokens: number[], lengths: number[]) {
  const result = advanceCache(kit, decoder, cache, tokens, lengths);
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
