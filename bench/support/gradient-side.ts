import { createInterface } from "node:readline";
import type { Tensor } from "@tensorflow/tfjs";
import { type Backend, loadBackend } from "../../worker/backend/load.ts";
import { gpt2LossAndGradient, gpt2Parameters } from "../../worker/models/gpt2.ts";
import type { Batch, Tensors } from "../../worker/models/model.ts";
import { kitOf } from "../../worker/models/ops.ts";
import { recorded } from "../../worker/models/recorded.ts";
import { fillNormal, indicesOfName } from "../../worker/random/streams.ts";

/**
 * Our side of bench/model.ts, a process that is driven as bench/python/gradient.py is. A step starts and ends with
 * flat vectors, as in a worker: the parameters are made tensors of, and the gradient is copied out.
 *
 * A line `matmul` is answered with the speed of matrix products alone, {"matmul": FLOP/s}.
 *
 * Usage: gradient-side.ts LAYERS HEADS WIDTH CONTEXT VOCABULARY BATCH THREADS [recompute]
 */
const [layers = 0, heads = 0, width = 0, context = 0, vocabulary = 0, batch = 0, threads = 1] = process.argv
  .slice(2)
  .map(Number);
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

function stepOf({ tf }: Backend): () => number {
  const model = { layers, heads, width, context, vocabulary, recompute };
  const kit = kitOf(tf);
  const lossAndGradient = recorded(kit, (theta, { tokens, targets }) =>
    gpt2LossAndGradient(kit, model, theta, tokens, targets),
  );
  const parameters = gpt2Parameters(model).map((parameter) => ({
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
  const ids = (shift: number) =>
    Int32Array.from({ length: batch * context }, (_, i) => (i * 7919 + shift) % vocabulary);
  const data: Batch = {
    tokens: { ids: tf.tensor1d(ids(0), "int32"), sequences: batch, length: context },
    targets: tf.tensor1d(ids(3), "int32"),
  };
  return () => {
    const tensors: Tensors = Object.fromEntries(
      parameters.map(({ name, shape }) => [name, tf.tensor(places.get(name) ?? [], [...shape])]),
    );
    const gradient = new Float32Array(total);
    const result = lossAndGradient(tensors, data);
    const loss = result.loss.dataSync()[0] ?? Number.NaN;
    let at = 0;
    for (const { name, size } of parameters) {
      const tensor: Tensor | undefined = result.gradient[name];
      if (tensor) gradient.set(tensor.dataSync<"float32">(), at);
      at += size;
    }
    tf.dispose([tensors, result]);
    return loss;
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
