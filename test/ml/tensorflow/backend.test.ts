import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import type { Backend, Tf } from "../../../ml/tensorflow/backend.ts";
import { loadBackend } from "../../../ml/tensorflow/load.ts";
import { nativeOps } from "../../../ml/tensorflow/native-ops.ts";
import { threadEnvironment } from "../../../ml/tensorflow/tensorflow.ts";
import { nativeStatus } from "../../../scripts/native.mjs";

const native = nativeStatus();
const skip = native.available ? false : `native TensorFlow is not installed here: ${native.reason}`;

/** Softmax of the product of two matrices whose values are plain arithmetic. */
async function softmaxOfProduct(tf: Tf): Promise<Float32Array> {
  const result = tf.tidy(() => {
    const a = tf.sin(tf.range(0, 64 * 48)).reshape<ReturnType<Tf["zeros"]>>([64, 48]);
    const b = tf.cos(tf.range(0, 48 * 32)).reshape<ReturnType<Tf["zeros"]>>([48, 32]);
    return tf.softmax(tf.matMul(a, b));
  });
  const values = await result.data<"float32">();
  result.dispose();
  return values;
}

/** The same in plain JavaScript doubles. */
function reference(): Float64Array {
  const out = new Float64Array(64 * 32);
  for (let row = 0; row < 64; row++) {
    const exps = Array.from({ length: 32 }, (_, column) => {
      let sum = 0;
      for (let k = 0; k < 48; k++) sum += Math.sin(row * 48 + k) * Math.cos(k * 32 + column);
      return Math.exp(sum);
    });
    const total = exps.reduce((a, b) => a + b);
    exps.forEach((value, column) => {
      out[row * 32 + column] = value / total;
    });
  }
  return out;
}

function assertClose(actual: Float32Array, expected: Float64Array): void {
  assert.equal(actual.length, expected.length);
  const worst = actual.reduce((max, value, i) => Math.max(max, Math.abs(value - (expected[i] ?? NaN))), 0);
  assert.ok(worst < 1e-5, `largest difference must be below 1e-5, got ${worst}`);
}

async function assertComputes(backend: Backend): Promise<void> {
  const before = backend.tf.memory().numTensors;
  assertClose(await softmaxOfProduct(backend.tf), reference());
  assert.equal(backend.tf.memory().numTensors, before, "tensors are freed");
}

test("wasm computes what plain JavaScript computes, and says what it is", async () => {
  const backend = await loadBackend("wasm");
  assert.deepEqual(
    { name: backend.name, device: backend.device, flags: backend.flags },
    { name: "wasm", device: "cpu", flags: { simd: "true" } },
  );
  assert.match(backend.version, /^\d+\.\d+\.\d+$/);
  assert.equal(backend.tf.getBackend(), "wasm");
  assert.equal(nativeOps(backend.tf), undefined);
  await assertComputes(backend);
});

test("native TensorFlow computes the same, and reports its own version", { skip }, async () => {
  const backend = await loadBackend("tensorflow", { threads: 1 });
  assert.equal(backend.name, "tensorflow");
  assert.equal(backend.version, native.available && native.version);
  assert.equal(backend.tf.getBackend(), "tensorflow");
  assert.equal(backend.flags.TF_DETERMINISTIC_OPS, "1");
  assert.equal(process.env.TF_NUM_INTRAOP_THREADS, "1");
  await assertComputes(backend);
});

test("auto takes native TensorFlow, with nothing to note", { skip }, async () => {
  const backend = await loadBackend("auto");
  assert.equal(backend.name, "tensorflow");
  assert.equal(backend.note, undefined);
});

test("any kernel of TensorFlow can be run by name, loss and gradient in one", { skip }, async () => {
  const { tf } = await loadBackend("tensorflow");
  const ops = nativeOps(tf);
  assert.ok(ops);
  const before = tf.memory().numTensors;
  const [loss, gradient] = tf.tidy(() =>
    ops.runMany(
      "SparseSoftmaxCrossEntropyWithLogits",
      { T: { type: "float32" }, Tlabels: { type: "int32" } },
      [tf.tensor2d([[1, 1, 1, 1]]), tf.tensor1d([2], "int32")],
      2,
    ),
  );
  assert.ok(loss && gradient);
  assert.ok(Math.abs(((await loss.data())[0] ?? NaN) - Math.log(4)) < 1e-6);
  assert.deepEqual([...(await gradient.data())], [0.25, 0.25, -0.75, 0.25]);
  tf.dispose([loss, gradient]);
  assert.equal(tf.memory().numTensors, before);
});

test("tensorflow that is not there is an error that says why and what to do", async () => {
  await withoutNative(() =>
    assert.rejects(loadBackend("tensorflow"), {
      name: "Unrecoverable",
      message: /"tensorflow" is not available: PS_SKIP_NATIVE=1 is set\. Run: .*npx ps-submit setup/,
    }),
  );
});

test("a GPU that is not there is an error that says what is needed, on wasm as on TensorFlow", async () => {
  const gpu = { device: "gpu" } as const;
  if (!skip && (await loadBackend("tensorflow")).device === "cpu") {
    await assert.rejects(loadBackend("auto", gpu), {
      name: "Unrecoverable",
      message: /"gpu" is not available: tensorflow 2\.18\.1 finds no GPU here\. .*or use device "cpu"/,
    });
  }
  await withoutNative(() =>
    assert.rejects(loadBackend("auto", gpu), {
      name: "Unrecoverable",
      message: /"gpu" is not available: running on wasm.*PS_SKIP_NATIVE=1 is set/,
    }),
  );
});

test("auto without tensorflow is wasm with a note", async () => {
  await withoutNative(async () => {
    const backend = await loadBackend("auto");
    assert.equal(backend.name, "wasm");
    assert.match(backend.note ?? "", /ten times slower.*PS_SKIP_NATIVE=1 is set/);
  });
});

test("loading a backend prints nothing of its own", { skip }, () => {
  const load = new URL("../../../ml/tensorflow/load.ts", import.meta.url).href;
  for (const name of ["wasm", "tensorflow"]) {
    const code = `import { loadBackend } from ${JSON.stringify(load)};
      const { tf } = await loadBackend(${JSON.stringify(name)});
      tf.matMul(tf.ones([2, 2]), tf.ones([2, 2])).dataSync();`;
    const shell = ["-c", 'exec "$0" --input-type=module -e "$1" 2>&1', process.execPath, code];
    assert.equal(execFileSync("sh", shell, { encoding: "utf8" }), "");
  }
});

test("a child's threads are set in the names TensorFlow reads", () => {
  assert.deepEqual(threadEnvironment(3), { TF_NUM_INTRAOP_THREADS: "3", TF_NUM_INTEROP_THREADS: "3" });
});

async function withoutNative(body: () => Promise<void>): Promise<void> {
  process.env.PS_SKIP_NATIVE = "1";
  try {
    await body();
  } finally {
    delete process.env.PS_SKIP_NATIVE;
  }
}
