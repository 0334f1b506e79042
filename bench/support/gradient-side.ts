import { createInterface } from "node:readline";
import type { Family, ModelConfig } from "../../ml/models/family.ts";
import { opsOf } from "../../ml/models/layers/ops.ts";
import type { Batch, Tensors } from "../../ml/models/model.ts";
import { recorded } from "../../ml/models/recorded.ts";
import { familyOf } from "../../ml/models/registry.ts";
import { fillNormal, indicesOfName } from "../../ml/random/streams.ts";
import type { Backend } from "../../ml/tensorflow/backend.ts";
import { loadBackend } from "../../ml/tensorflow/load.ts";
import { at, required } from "../../protocol/required.ts";
import { elements } from "../../protocol/safetensors.ts";
import { argument } from "./report.ts";

/**
 * Our side of bench/model.ts, a process with the input and output of bench/python/gradient.py. A step starts and ends
 * with flat vectors, as in a worker: it makes tensors of the parameters, and copies the gradient out.
 *
 * The answer to a line `matmul` is the speed of matrix products alone, {"matmul": FLOP/s}.
 *
 * Usage: gradient-side.ts FAMILY LAYERS HEADS WIDTH HIDDEN CONTEXT VOCABULARY BATCH THREADS [recompute]
 */
const type = argument(0, "FAMILY");
const NAMES = ["LAYERS", "HEADS", "WIDTH", "HIDDEN", "CONTEXT", "VOCABULARY", "BATCH", "THREADS"] as const;
const size = (name: (typeof NAMES)[number]) => Number(argument(1 + NAMES.indexOf(name), name));
const [layers, heads, width, hidden] = [size("LAYERS"), size("HEADS"), size("WIDTH"), size("HIDDEN")];
const [context, vocabulary, batch] = [size("CONTEXT"), size("VOCABULARY"), size("BATCH")];
const threads = size("THREADS");
const recompute = process.argv.includes("recompute");
const backend = await loadBackend("auto", { threads });
const step = stepOf(backend);

print({ ready: `${backend.name} ${backend.version}` });
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "matmul") {
    print({ matmul: matmulSpeed(backend) });
    continue;
  }
  const ms: number[] = [];
  let loss = Number.NaN;
  for (let i = 0; i < Number(line); i++) {
    const start = performance.now();
    loss = step();
    ms.push(performance.now() - start);
  }
  print({ ms, loss });
}
print({ peakMb: process.resourceUsage().maxRSS / 1024 });

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
    size: elements(parameter.shape),
  }));
  const total = parameters.reduce((sum, { size }) => sum + size, 0);
  const theta = new Float32Array(total);
  const byName = new Map<string, Float32Array>();
  let offset = 0;
  for (const { name, size, init } of parameters) {
    const values = theta.subarray(offset, offset + size);
    if (init.type === "ones") values.fill(1);
    if (init.type === "normal") {
      fillNormal(values, init.deviation, { seed: 1, purpose: "initialize", indices: indicesOfName(name) });
    }
    byName.set(name, values);
    offset += size;
  }
  const data = batchOf(tf, family.masked);
  return () => {
    const tensors: Tensors = Object.fromEntries(
      parameters.map(({ name, shape }) => [name, tf.tensor(required(byName.get(name), name), [...shape])]),
    );
    const gradient = new Float32Array(total);
    const result = lossAndGradient(tensors, data);
    const loss = at(result.loss.dataSync(), 0, "the loss");
    let offset = 0;
    for (const { name, size } of parameters) {
      const tensor = result.gradient[name];
      if (tensor) gradient.set(tensor.dataSync<"float32">(), offset);
      offset += size;
    }
    tf.dispose([tensors, result]);
    return loss;
  };
}

/** Makes tokens that look random. A masked model predicts about 15 % of them. */
function batchOf(tf: Backend["tf"], masked: boolean): Batch {
  const all = Array.from({ length: batch * context }, (_, i) => i);
  const predicted = masked ? all.filter((i) => i % 20 < 3) : all;
  const ids = (positions: readonly number[], shift: number) =>
    tf.tensor1d(
      positions.map((i) => (i * 7919 + shift) % vocabulary),
      "int32",
    );
  return {
    tokens: { ids: ids(all, 0), sequences: batch, length: context },
    targets: ids(predicted, 3),
    ...(masked && { predicted: tf.tensor1d(predicted, "int32") }),
  };
}

/** Returns the speed of the products [N, C] x [C, 4C] that a model is made of, at a size where nothing else counts. */
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

function print(message: object): void {
  console.log(JSON.stringify(message));
}
