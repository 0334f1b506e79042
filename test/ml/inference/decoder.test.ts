import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import type { Decoder } from "../../../ml/inference/decoder.ts";
import { ThreadPool } from "../../../ml/inference/thread-pool.ts";
import type { Gpt2 } from "../../../ml/models/gpt2.ts";
import { opsOf } from "../../../ml/models/layers/ops.ts";
import { familyOf } from "../../../ml/models/registry.ts";
import { loadBackend } from "../../../ml/tensorflow/load.ts";
import { assertClose } from "../../support/models.ts";
import { type Sample, sampleRows, sampleTheta } from "../models/families.ts";
import { samples } from "../models/family-samples.ts";
import { decoderOf } from "./decoders.ts";

const TOLERANCE = 1e-5;
const backend = await loadBackend("auto", { threads: 1 });

const causal: readonly Sample[] = samples.filter(({ family }) => family.type !== "bert");
/** More tokens than one step reads. */
const long: readonly Sample[] = causal
  .filter(({ title }) => /^(gpt2|llama, six heads.*)$/.test(title))
  .map((sample) => {
    const config = { ...sample.config, context: 150 };
    const ids = sampleRows(2, 150, config.vocabulary, 3);
    return { ...sample, title: `${sample.title}, 150 tokens`, config, ids, labels: ids };
  });

async function withDecoder(sample: Sample, threads: number, use: (decoder: Decoder) => void): Promise<void> {
  const pool = new ThreadPool(threads);
  const decoder = await decoderOf(sample, pool);
  use(decoder);
  decoder.close();
  pool.close();
}

/** The logits of every token by the family's own pass over all tokens, text after text. */
function expectedOf({ family, config, ...sample }: Sample): number[][][] {
  const { tf } = backend;
  const theta = sampleTheta(tf, { family, config, ...sample });
  const logits = sample.ids.map((row) => {
    const ids = tf.tensor1d([...row], "int32");
    return tf.tidy(() =>
      family.logits(opsOf(tf), config, theta, { ids, sequences: 1, length: row.length }).arraySync(),
    );
  });
  tf.dispose(theta);
  return logits;
}

const tokenOf = ({ ids }: Sample, text: number, position: number) => ({
  token: ids[text]?.[position] ?? 0,
  text,
  position,
  wanted: true,
});

/** Every text's tokens, one in a step. */
function oneByOne(decoder: Decoder, sample: Sample): number[][][] {
  return sample.ids.map((row, text) =>
    row.map((_, position) => decoder.read([tokenOf(sample, text, position)]).flatMap((each) => [...each])),
  );
}

/** The same numbers; `deepEqual` takes minutes to describe how many others differ. */
function assertSame(actual: readonly number[][][], expected: readonly number[][][]): void {
  const [a, b] = [actual.flat(2), expected.flat(2)];
  const index = b.findIndex((value, i) => !Object.is(value, a[i]));
  assert.equal(a.length, b.length);
  assert.equal(index, -1, `number ${index} is ${a[index]}, not ${b[index]}`);
}

for (const sample of [...causal, ...long]) {
  test(`${sample.title}: token by token gives what all at once gives`, async () => {
    const expected = expectedOf(sample);
    await withDecoder(sample, 1, (decoder) => {
      assertClose(oneByOne(decoder, sample).flat(2), expected.flat(2), TOLERANCE, "logits");
    });
  });

  test(`${sample.title}: tokens read together give the same bits as alone, on any number of threads`, async () => {
    const expected: number[][][] = [];
    await withDecoder(sample, 1, (decoder) => expected.push(...oneByOne(decoder, sample)));
    const [first = []] = sample.ids;
    for (const threads of [1, 3]) {
      await withDecoder(sample, threads, (decoder) => {
        const all = sample.ids.flatMap((row, text) =>
          row.map((_, position) => tokenOf(sample, text, position)),
        );
        assert.deepEqual(
          decoder.read(all).map((each) => [...each]),
          expected.flat(),
        );
        // A second time, side by side: what is kept of the first time is written over.
        for (let position = 0; position < first.length; position++) {
          const logits = decoder.read(sample.ids.map((_, text) => tokenOf(sample, text, position)));
          assert.deepEqual(
            logits.map((each) => [...each]),
            expected.map((text) => text[position]),
          );
        }
      });
    }
  });
}

test("threads that take turns at the slices of many steps give the bits of one that does all", async () => {
  const config: Gpt2 = { layers: 2, heads: 4, width: 128, context: 40, vocabulary: 700 };
  const ids = sampleRows(2, 40, config.vocabulary, 3);
  const rest = { mask: null, types: null, labels: ids };
  const wide: Sample = { title: "wide", family: familyOf("gpt2"), config, ids, ...rest };
  const expected: number[][][] = [];
  await withDecoder(wide, 1, (decoder) => expected.push(...oneByOne(decoder, wide)));
  await withDecoder(wide, 3, (decoder) => {
    for (let times = 0; times < 5; times++) assertSame(oneByOne(decoder, wide), expected);
  });
});

test("parameters that no one memory has room for lie in several, with the same bits", async () => {
  for (const sample of long) {
    const pool = new ThreadPool(2);
    const [one, cut] = [await decoderOf(sample, pool), await decoderOf(sample, pool, { maxBytes: 9000 })];
    assertSame(oneByOne(cut, sample), oneByOne(one, sample));
    one.close();
    cut.close();
    await assert.rejects(decoderOf(sample, pool, { maxBytes: 1000 }), {
      message: /at most 1000 bytes, got/,
    });
    pool.close();
  }
});

test("only the logits that are wanted are made", async () => {
  const [sample] = long;
  assert.ok(sample);
  await withDecoder(sample, 2, (decoder) => {
    const all = Array.from({ length: 75 }, (_, position) => ({
      ...tokenOf(sample, 1, position),
      wanted: position === 3 || position === 74,
    }));
    const logits = decoder.read(all).map((each) => [...each]);
    const expected = expectedOf(sample)[1] ?? [];
    assert.equal(logits.length, 2);
    assertClose(logits.flat(), [expected[3] ?? [], expected[74] ?? []].flat(), TOLERANCE, "wanted");
  });
});

test("two decoders of a pool take turns, and a closed one leaves the other as it was", async () => {
  const [sample] = long;
  assert.ok(sample);
  const pool = new ThreadPool(3);
  const [one, other] = [await decoderOf(sample, pool), await decoderOf(sample, pool)];
  const read = (decoder: Decoder, text: number, position: number) =>
    decoder.read([tokenOf(sample, text, position)]).flatMap((each) => [...each]);
  const turns = Array.from({ length: 20 }, (_, i) => [read(one, 0, i), read(other, 1, i)]);
  other.close();
  const rest = Array.from({ length: 20 }, (_, i) => read(one, 0, 20 + i));
  one.close();
  pool.close();
  const expected = expectedOf(sample);
  assertClose(
    turns.flatMap(([a = []]) => a),
    expected[0]?.slice(0, 20).flat() ?? [],
    TOLERANCE,
    "one",
  );
  assertClose(
    turns.flatMap(([, b = []]) => b),
    expected[1]?.slice(0, 20).flat() ?? [],
    TOLERANCE,
    "other",
  );
  assertClose(rest.flat(), expected[0]?.slice(20, 40).flat() ?? [], TOLERANCE, "one, alone");
});

test("a process whose pool is still there ends all the same", () => {
  const file = new URL("../../../ml/inference/thread-pool.ts", import.meta.url).href;
  const script = `const { ThreadPool } = await import(${JSON.stringify(file)}); new ThreadPool(3);`;
  const { status, stderr, signal } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    encoding: "utf8",
    timeout: 20_000,
  });
  assert.deepEqual({ status, signal }, { status: 0, signal: null }, stderr);
});
