import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { rowsOf } from "../../ml/data/batches.ts";
import { examplesOf, solutionOf } from "../../ml/data/linear.ts";
import { floatsOf } from "../../protocol/digest.ts";
import type { JobSpec } from "../../protocol/job.ts";
import { keys } from "../../protocol/keys.ts";
import { type InProcess, openInProcess } from "../support/in-process.ts";
import { jobOf } from "../support/job.ts";
import { linearJob } from "../support/lab.ts";

/** Training through the parameter server against the same formulas in one plain loop, in double precision. */

const STEPS = 20;
const INPUTS = 4;
const OUTPUTS = 3;
let lab: InProcess;
before(async () => {
  lab = await openInProcess();
});
after(() => lab.close());

const optimizers = {
  sgd: { type: "sgd", learningRate: 0.05 },
  adamw: { type: "adamw", learningRate: 0.05, weightDecay: 0.1 },
};

for (const [type, optimizer] of Object.entries(optimizers)) {
  for (const reduce of ["mean", "sum"]) {
    test(`${STEPS} steps of 3-rank ${type}, reduced by ${reduce}, follow the formula`, async () => {
      const model = { type: "linear", inputs: INPUTS, outputs: OUTPUTS };
      const spec = linearJob(`${type}-${reduce}`, {
        model,
        optimizer,
        reduce,
        ranks: 3,
        shards: 2,
        steps: STEPS,
      });
      assert.equal((await lab.run(spec)).status, "succeeded");
      const trained = await parameters(spec);
      const expected = train(spec);
      for (const [i, value] of expected.entries()) {
        const error = Math.abs((trained[i] ?? Number.NaN) - value) / Math.max(Math.abs(value), 1e-3);
        assert.ok(error < 1e-5, `w[${i}] is ${trained[i]}, the formula gives ${value}`);
      }
    });
  }
}

test("examples/linear-regression.json ends within 1e-3 of the known solution", async () => {
  const file = JSON.parse(readFileSync("examples/linear-regression.json", "utf8"));
  const spec = jobOf({ ...file, name: "linear-regression" }, "the example");
  const state = await lab.run(spec, 240_000);
  assert.equal(state.version, 1000, state.reason ?? "");
  const solution = solutionOf(spec.seed, 10, 10);
  const trained = await parameters(spec, 100);
  const errors = trained.map((value, i) => Math.abs(value - (solution[i] ?? Number.NaN)));
  assert.ok(Math.max(...errors) < 1e-3, `the largest error is ${Math.max(...errors)}`);
});

async function parameters({ name, steps }: JobSpec, count = INPUTS * OUTPUTS): Promise<Float32Array> {
  const stored = await lab.cloud.store.get(keys.checkpoint(name, steps, "model.safetensors"));
  assert.ok(stored);
  return floatsOf(stored.body.slice(-4 * count));
}

/** w from zeros; decay on w, which is a matrix; Adam's defaults. */
function train(spec: JobSpec): Float64Array {
  const { optimizer } = spec;
  const w = new Float64Array(INPUTS * OUTPUTS);
  const m = new Float64Array(w.length);
  const v = new Float64Array(w.length);
  for (let step = 0; step < STEPS; step++) {
    const g = combined(spec, w, step);
    for (const [i, gi] of g.entries()) {
      const wi = w[i] ?? 0;
      if (optimizer.type !== "adamw") {
        w[i] = wi - optimizer.learningRate * gi;
        continue;
      }
      const { learningRate, beta1, beta2, epsilon, weightDecay } = optimizer;
      const mi = beta1 * (m[i] ?? 0) + (1 - beta1) * gi;
      const vi = beta2 * (v[i] ?? 0) + (1 - beta2) * gi * gi;
      m[i] = mi;
      v[i] = vi;
      const corrected =
        mi / (1 - beta1 ** (step + 1)) / (Math.sqrt(vi / (1 - beta2 ** (step + 1))) + epsilon);
      w[i] = wi - learningRate * weightDecay * wi - learningRate * corrected;
    }
  }
  return w;
}

/** Sum or mean over the ranks of d/dw mean((x w - y)^2) = 2 / (rows outputs) x^T (x w - y). */
function combined(spec: JobSpec, w: Float64Array, step: number): Float64Array {
  const g = new Float64Array(w.length);
  for (let rank = 0; rank < spec.ranks; rank++) {
    const solution = solutionOf(spec.seed, INPUTS, OUTPUTS);
    const examples = spec.data.type === "linear" ? spec.data.examples : 0;
    const { x, y } = examplesOf(
      spec.seed,
      solution,
      INPUTS,
      rowsOf(spec, examples, { step, rank, micro: 0 }),
    );
    const share = 2 / (spec.batch * OUTPUTS) / (spec.reduce === "mean" ? spec.ranks : 1);
    for (let row = 0; row < spec.batch; row++) {
      for (let j = 0; j < OUTPUTS; j++) {
        let error = -(y[row * OUTPUTS + j] ?? 0);
        for (let i = 0; i < INPUTS; i++) error += (x[row * INPUTS + i] ?? 0) * (w[i * OUTPUTS + j] ?? 0);
        for (let i = 0; i < INPUTS; i++) {
          const at = i * OUTPUTS + j;
          g[at] = (g[at] ?? 0) + share * (x[row * INPUTS + i] ?? 0) * error;
        }
      }
    }
  }
  return g;
}
