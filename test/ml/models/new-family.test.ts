import assert from "node:assert/strict";
import { test } from "node:test";
import type { Tensor } from "@tensorflow/tfjs";
import { z } from "zod";
import { ThreadPool } from "../../../ml/inference/thread-pool.ts";
import type { Family, ModelConfig } from "../../../ml/models/family.ts";
import { causalMask } from "../../../ml/models/layers/attention.ts";
import type { Block } from "../../../ml/models/layers/blocks.ts";
import { lookUpBackward } from "../../../ml/models/layers/embedding.ts";
import type { Pass } from "../../../ml/models/layers/layer.ts";
import { linear } from "../../../ml/models/layers/linear.ts";
import { gatedMlp } from "../../../ml/models/layers/mlp.ts";
import { nextTokenModel } from "../../../ml/models/layers/next-token.ts";
import { layerNorm, rmsNorm } from "../../../ml/models/layers/norm.ts";
import { opsOf } from "../../../ml/models/layers/ops.ts";
import { preNormBlock } from "../../../ml/models/layers/residual.ts";
import { rotaryFrequencies, rotation } from "../../../ml/models/layers/rotary.ts";
import { separateAttention } from "../../../ml/models/layers/self-attention.ts";
import { normalTable, type Tokens, tensorOf } from "../../../ml/models/model.ts";
import { PLAIN_NAMING } from "../../../ml/models/naming.ts";
import { recorded } from "../../../ml/models/recorded.ts";
import { loadBackend } from "../../../ml/tensorflow/load.ts";
import { valueAs } from "../../../protocol/parse.ts";
import { assertClose } from "../../support/models.ts";
import { decoderOf } from "../inference/decoders.ts";
import { type Sample, sampleBatch, sampleRows, sampleTheta } from "./families.ts";

/**
 * A family that this project does not have, made of the shared layers in one file: biases on queries, keys and
 * values, as in Qwen2, between norms of both kinds, and an output layer with a bias.
 */
type Config = ModelConfig & { readonly width: number };

const HEADS = 2;
const EPSILON = 1e-6;
const TOKENS = "tokens.weight";
const HEAD = linear("head", { bias: true, inputsFirst: true });
const NORM = layerNorm("norm", EPSILON);
const names = ({ layers }: Config) => Array.from({ length: layers }, (_, i) => `blocks.${i}`);

function layersOf(block: string) {
  const layer = (name: string, bias: boolean) => linear(`${block}.${name}`, { bias, inputsFirst: false });
  return {
    attentionNorm: rmsNorm(`${block}.first`, EPSILON),
    attention: {
      queries: layer("q", true),
      keys: layer("k", true),
      values: layer("v", true),
      output: layer("o", false),
    },
    mlpNorm: layerNorm(`${block}.second`, EPSILON),
    mlp: { gate: layer("gate", true), up: layer("up", false), output: layer("down", true) },
  };
}

const rotaryOf = ({ width }: Config) => ({ headWidth: width / HEADS, theta: 100, scaling: null });

function blocksOf(pass: Pass, model: Config, { sequences, length }: Tokens): Block[] {
  const scale = 1 / Math.sqrt(model.width / HEADS);
  const prepare = {
    queries: rotation(pass.ops, rotaryOf(model), length, { scale }),
    keys: rotation(pass.ops, rotaryOf(model), length),
  };
  const mask = causalMask(pass.ops, length);
  const groups = { sequences, length, heads: HEADS, keyValueHeads: 1 };
  return names(model).map((name) => {
    const layers = layersOf(name);
    const attention = separateAttention(pass, { ...layers.attention, prepare }, mask, groups);
    return preNormBlock(
      pass,
      { norm: layers.attentionNorm, branch: attention },
      { norm: layers.mlpNorm, branch: gatedMlp(pass, layers.mlp) },
    );
  });
}

const family: Family<Config> = {
  type: "new",
  masked: false,
  naming: PLAIN_NAMING,
  configOf: () => assert.fail("no job names it by sizes"),
  fromHuggingFace(json, what) {
    const size = z.int().min(1);
    return valueAs(z.object({ layers: size, width: size, context: size, vocabulary: size }), json, what);
  },
  files: (config) => ({ "config.json": JSON.stringify(config) }),
  parameters: (model) => {
    const { width, vocabulary } = model;
    const blocks = names(model).flatMap((name) => {
      const { attentionNorm, attention, mlpNorm, mlp } = layersOf(name);
      return [
        ...attentionNorm.parameters(width),
        ...attention.queries.parameters(width, width, 1),
        ...attention.keys.parameters(width, width / HEADS, 1),
        ...attention.values.parameters(width, width / HEADS, 1),
        ...attention.output.parameters(width, width, 1),
        ...mlpNorm.parameters(width),
        ...mlp.gate.parameters(width, 3 * width, 1),
        ...mlp.up.parameters(width, 3 * width, 1),
        ...mlp.output.parameters(3 * width, width, 1),
      ];
    });
    return [
      normalTable(TOKENS, [vocabulary, width], 1),
      ...blocks,
      ...NORM.parameters(width),
      ...HEAD.parameters(width, vocabulary, 1),
    ];
  },
  ...nextTokenModel<Config>({
    embed: ({ ops, theta }, _model, { ids }) => ops.tf.gather(tensorOf(theta, TOKENS), ids),
    embedBackward: ({ ops }, model, dx, { ids }) => ({
      [TOKENS]: lookUpBackward(ops, dx, ids, model.vocabulary),
    }),
    blocks: blocksOf,
    norm: () => NORM,
    head: () => HEAD,
  }),
  decoder: (model) => ({
    ...{ width: model.width, heads: HEADS, keyHeads: 1, headWidth: model.width / HEADS },
    ...{ hidden: 3 * model.width, vocabulary: model.vocabulary },
    ...{ tokens: TOKENS, positions: null, frequencies: rotaryFrequencies(rotaryOf(model)) },
    blocks: names(model).map((name) => {
      const { attentionNorm, attention, mlpNorm, mlp } = layersOf(name);
      const { queries, keys, values, output } = attention;
      return {
        attention: {
          norm: attentionNorm.names,
          projections: [queries.names, keys.names, values.names],
          output: output.names,
        },
        mlp: {
          ...({ type: "swiglu" } as const),
          ...{ norm: mlpNorm.names, gate: mlp.gate.names, up: mlp.up.names, output: mlp.output.names },
        },
      };
    }),
    ...{ norm: NORM.names, head: HEAD.names },
  }),
};

const backend = await loadBackend("auto", { threads: 1 });
const { tf } = backend;
const config: Config = { layers: 2, width: 12, context: 9, vocabulary: 17 };
const rows = sampleRows(2, 9, 17, 3);
const sample: Sample = { title: "new", family, config, ids: rows, mask: null, types: null, labels: rows };

test("a family made of the shared layers trains: a step down its gradient lowers the loss as it should", () => {
  tf.tidy(() => {
    const ops = opsOf(tf);
    const theta = sampleTheta(tf, sample);
    const batch = sampleBatch(tf, sample);
    const compute = recorded(ops, (parameters, data) =>
      family.lossAndGradient(ops, config, parameters, data),
    );
    const { loss, gradient } = compute(theta, batch);
    assert.deepEqual(Object.keys(gradient).sort(), Object.keys(theta).sort());
    const rate = 1e-3;
    const moved = (by: number) =>
      family.loss(
        ops,
        config,
        Object.fromEntries(
          Object.entries(theta).map(([name, x]) => [name, tf.add(x, tf.mul(tensorOf(gradient, name), by))]),
        ),
        batch,
      );
    const square = Object.values(gradient).reduce((sum, g) => sum + numberOf(tf.sum(tf.square(g))), 0);
    const slope = (numberOf(moved(rate)) - numberOf(moved(-rate))) / (2 * rate);
    assert.ok(Math.abs(slope - square) < 0.02 * square, `slope ${slope}, gradient's square ${square}`);
    assertClose(loss, family.loss(ops, config, theta, batch), 1e-5, "loss");
  });
});

test("and generates: the decoder gives the logits of the whole text, token by token", async () => {
  const pool = new ThreadPool(2);
  const decoder = await decoderOf(sample, pool);
  const actual = rows.map((row, text) =>
    row.map((token, position) =>
      decoder.read([{ token, text, position, wanted: true }]).flatMap((each) => [...each]),
    ),
  );
  decoder.close();
  pool.close();
  tf.tidy(() => {
    const { tokens } = sampleBatch(tf, sample);
    const expected = family.logits(opsOf(tf), config, sampleTheta(tf, sample), tokens);
    assertClose(actual.flat(2), expected, 1e-5, "logits");
  });
});

function numberOf(scalar: Tensor): number {
  return scalar.dataSync<"float32">()[0] ?? Number.NaN;
}
