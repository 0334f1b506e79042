import { createInterface } from "node:readline";
import type { Family, ModelConfig } from "../../ml/models/family.ts";
import { opsOf } from "../../ml/models/layers/ops.ts";
import type { Batch, Tensors } from "../../ml/models/model.ts";
import { recorded } from "../../ml/models/recorded.ts";
import { familyOf } from "../../ml/models/registry.ts";
import { fillNormal, indicesOfName } from "../../ml/random/streams.ts";
import type { Backend } from "../../ml/tensorflow/backend.ts";
import { loadBackend } from "../../ml/tensorflow/load.ts";

/**
 * Our side of bench/model.ts, a process that is driven as bench/python/gradient.py is. A step starts and ends with
 * flat vectors, as in a worker: the parameters are made tensors of, and the gradient is copied out.
 *
 * A line `matmul` is answered with the speed of matrix products alone, {"matmul": FLOP/s}.
 *
 * Usage: gradient-side.ts FAMILY LAYERS HEADS WIDTH HIDDEN CONTEXT VOCABULARY BATCH THREADS [recompute]
 */
const [type = "", ...sizes] = process.argv.slice(2);
const [layers = 0, heads = 0, width = 0, hidden = 0, context = 0, vocabulary = 0, batch = 0, threads = 1] =
  sizes.map(Number);
const recompute = process.argv.includes("recompute");
const backend = await loadBackend("auto", { threads });
const step = stepOf(backend);

say({ ready: `${backend.name} ${backend.version}` });
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "matmul") {
    say({ matmul: matmulSpeed(backend) });
    continue;
  }
  const ms: number[] = [];
  let loss = Number.NaN;
  for (let i = 0; i < Number(line); i++) {
    const start = performance.now();
    loss = step();
    ms.push(performance.now() - start);
  }
  say({ ms, loss });
}
say({ peakMb: process.resourceUsage().maxRSS / 1024 });

function modelOf(): { family: Family; config: ModelConfig } {
  const shared = { layers, heads, width, context, recompute, dropout: 0 };
  const family = familyOf(type);
  switch (type) {
    case "llama": {
      const own = { hidden, keyValueHeads: heads, ropeTheta: 10_000, tied: true };
      return { family, config: family.configOf({ type, ...shared, ...own }, vocabulary) };
    }
    case "bert":
      return {
        family,
        config: family.configOf({ type, ...shared, hidden, maskProbability: 0.15 }, vocabulary),
      };
    default:
      return { family, config: family.configOf({ type: "gpt2", ...shared }, vocabulary) };
  }
}

function stepOf({ tf }: Backend): () => number {
  const { family, config } = modelOf();
  const ops = opsOf(tf);
  const lossAndGradient = recorded(ops, (theta, data) => family.lossAndGradient(ops, config, theta, data));
  const parameters = family.parameters(config).map((parameter) => ({
    ...parameter,
    size: parameter.shape.reduce((product, n) => product * n, 1),
  }));
  const total = parameters.reduce((sum, { size }) => sum + size, 0);
  const theta = new Float32Array(total);
  const places = new Map<string, Float32Array>();
  let offset = 0;
  for (const { name, size, init } of parameters) {
    const values = theta.subarray(offset, offset + size);
    if (init.type === "ones") values.fill(1);
    if (init.type === "normal") {
      fillNormal(values, init.deviation, { seed: 1, purpose: "initialize", indices: indicesOfName(name) });
    }
    places.set(name, values);
    offset += size;
  }
  const data = batchOf(tf, family.masked);
  return () => {
    const tensors: Tensors = Object.fromEntries(
      parameters.map(({ name, shape }) => [name, tf.tensor(places.get(name) ?? [], [...shape])]),
    );
    const gradient = new Float32Array(total);
    const result = lossAndGradient(tensors, data);
    const loss = result.loss.dataSync()[0] ?? Number.NaN;
    let at = 0;
    for (const { name, size } of parameters) {
      const tensor = result.gradient[name];
      if (tensor) gradient.set(tensor.dataSync<"float32">(), at);
      at += size;
    }
    tf.dispose([tensors, result]);
    return loss;
  };
}

/** Tokens that look random; of a masked model about 15 % of them are to be predicted. */
function batchOf(tf: Backend["tf"], masked: boolean): Batch {
  const all = Array.from({ length: batch * context }, (_, i) => i);
  const predicted = masked ? all.filter((i) => i % 20 < 3) : all;
  const ids = (places: readonly number[], shift: number) =>
    tf.tensor1d(
      places.map((i) => (i * 7919 + shift) % vocabulary),
      "int32",
    );
  return {
    tokens: { ids: ids(all, 0), sequences: batch, length: context },
    targets: ids(predicted, 3),
    ...(masked && { predicted: tf.tensor1d(predicted, "int32") }),
  };
}

/** Of the products [N, C] x [C, 4C] that the model is made of, at a size where nothing else counts. */
function matmulSpeed({ tf }: Backend): number {
  const [n, c] = [2048, 512];
  const a = tf.ones([n, c]);
  const b = tf.ones([c, 4 * c]);
  let fastest = Infinity;
  for (let i = 0; i < 15; i++) {
    const start = performance.now();
    const product = tf.matMul(a, b);
    const corner = tf.slice(product, [0, 0], [1, 1]);
    corner.dataSync();
    fastest = Math.min(fastest, performance.now() - start);
    tf.dispose([product, corner]);
  }
  tf.dispose([a, b]);
  return (2 * n * c * 4 * c) / (fastest / 1000);
}

function say(message: object): void {
  console.log(JSON.stringify(message));
}
