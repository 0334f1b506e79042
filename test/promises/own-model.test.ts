import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { evaluateHeldOut, evaluateOwn } from "../../cli/models/job-evaluation.ts";
import { prepareJob, uploadInputs } from "../../cli/submission/prepare-job.ts";
import { sha256 } from "../../protocol/digest.ts";
import { keys } from "../../protocol/keys.ts";
import { type InProcess, openInProcess } from "../support/in-process.ts";
import { jobOf } from "../support/job.ts";

/** A user's own model: its bytes run in every worker, and what is wrong with it ends the job with the reason. */
const folder = mkdtempSync(join(tmpdir(), "ps-own-model-"));
const example = readFileSync("examples/mlp-classifier.ts");
let lab: InProcess;
before(async () => {
  writeFileSync(join(folder, "mlp.ts"), example);
  writeFileSync(join(folder, "text.txt"), "to be or not to be, that is the question: ".repeat(20));
  lab = await openInProcess();
});
after(async () => {
  await lab.close();
  rmSync(folder, { recursive: true, force: true });
});

function prepared(name: string, changes: Record<string, unknown>) {
  const job = {
    name,
    model: { module: "mlp.ts" },
    data: { type: "module" },
    optimizer: { type: "adam", learningRate: 0.02 },
    steps: 3,
    ranks: 2,
    batch: 32,
    backend: "wasm",
    ...changes,
  };
  const draft = {
    job: jobOf(job, name),
    textPath: join(folder, "text.txt"),
    folder,
  };
  return prepareJob(draft, { cache: join(lab.target.home, "cache"), environment: {} });
}

async function run(name: string, changes: Record<string, unknown> = {}) {
  const job = await prepared(name, changes);
  await uploadInputs(lab.cloud, job);
  return lab.run(job.spec, 60_000, job.dataset ?? undefined);
}

/** Writes a module in which `changes` stand for functions of a model that works, and runs it. */
async function reasonFor(name: string, changes: string): Promise<string> {
  writeFileSync(join(folder, `${name}.ts`), moduleWith(changes));
  const state = await run(name, { model: { module: `${name}.ts` } });
  assert.equal(state.status, "failed");
  return state.reason ?? "";
}

const moduleWith = (changes: string) => `
  const rows = (n: number) => ({ shape: [n, 2], values: new Float32Array(2 * n).fill(1) });
  export default {
    parameters: () => [{ name: "w", shape: [2, 1], init: { type: "ones" } }],
    batch: ({ rows: n }: { rows: number }) => ({ x: rows(n) }),
    loss: (tf: any, theta: any, batch: any) => tf.mean(tf.square(tf.matMul(batch.x, theta.w))),
    ${changes}
  };`;

test("the example learns, and any number of shards gives the same bytes", async () => {
  const states = [];
  for (const shards of [1, 3]) {
    states.push(await run(`mlp-${shards}`, { shards, steps: 25, evaluateEvery: 25 }));
  }
  for (const state of states) assert.equal(state.status, "succeeded", state.reason ?? "");
  assert.equal(states[0]?.checkpoint?.sha256, states[1]?.checkpoint?.sha256);
  const loss = states[0]?.evaluation?.loss ?? Number.NaN;
  assert.ok(loss < 0.6 * Math.log(3), `held-out loss ${loss}`);
});

test("the job names the bytes that its workers run, and they run no others", async () => {
  const { spec } = await prepared("bytes", {});
  assert.equal(spec.model.type === "module" && spec.model.digest, sha256(example));
  const changed = Buffer.concat([example, Buffer.from("\n// changed\n")]);
  writeFileSync(join(folder, "damaged.ts"), changed);
  const job = await prepared("damaged", { model: { module: "damaged.ts" } });
  await uploadInputs(lab.cloud, job);
  const key = keys.module(sha256(changed));
  const stored = await lab.cloud.store.get(key);
  assert.ok(stored);
  await lab.cloud.store.replace(key, example, stored.etag);
  await lab.submit(job.spec);
  await assert.rejects(lab.addWorker("damaged", "victim"), {
    message: /is corrupt: its SHA-256 must be/,
  });
});

test("frozen parameters of a model of one's own stay as they are", async () => {
  const freeze = ["hidden.*"];
  const frozen = await run("mlp-frozen", { freeze });
  assert.equal(frozen.status, "succeeded", frozen.reason ?? "");
  const layout = await lab.cloud.jobs.layout("mlp-frozen");
  assert.deepEqual(
    layout?.tensors.map(({ name }) => name),
    ["output.bias", "output.weight"],
  );
});

test("a model of one's own may train on text", async () => {
  writeFileSync(
    join(folder, "bigram.ts"),
    `export default {
      parameters: ({ vocabulary: v }: { vocabulary: number }) => [{ name: "table", shape: [v, v], init: { type: "zeros" } }],
      loss(tf: any, theta: any, { inputs, targets }: any, { vocabulary }: any) {
        const hot = (ids: any) => tf.oneHot(tf.reshape(ids, [-1]), vocabulary);
        const logits = tf.matMul(hot(inputs), theta.table);
        return tf.neg(tf.mean(tf.sum(tf.mul(hot(targets), tf.logSoftmax(logits)), 1)));
      },
    };`,
  );
  const text = {
    model: { module: "bigram.ts", context: 8 },
    data: { type: "text", path: "text.txt" },
    optimizer: { type: "adam", learningRate: 0.3 },
  };
  const state = await run("bigram", { ...text, steps: 12, batch: 8 });
  assert.equal(state.status, "succeeded", state.reason ?? "");
  assert.ok((state.loss ?? Number.NaN) < 1.6, `loss ${state.loss}, from ${Math.log(17)}`);
});

test("the model that the documentation shows trains", async () => {
  const page = readFileSync("docs/your-own-model.md", "utf8");
  const shown = page.split("\n").filter((line) => line.startsWith("    ") || line === "");
  const source = shown.map((line) => line.slice(4)).join("\n");
  writeFileSync(join(folder, "shown.ts"), source.slice(source.indexOf("import type")));
  const state = await run("shown", { model: { module: "shown.ts" } });
  assert.equal(state.status, "succeeded", state.reason ?? "");
});

test("a loss that throws, is no scalar or has no gradient ends the job and names the function", async () => {
  const throwing = await reasonFor("throwing", 'loss() { throw new RangeError("no such layer"); },');
  assert.match(throwing, /^model\.module throwing\.ts: loss threw RangeError: no such layer$/);
  const vector = await reasonFor(
    "vector",
    "loss: (tf: any, theta: any, { x }: any) => tf.matMul(x, theta.w),",
  );
  assert.match(
    vector,
    /vector\.ts: loss must return a scalar tensor, got shape \[32,1\]; take tf\.mean of it/,
  );
  const apart = await reasonFor("apart", "loss: (tf: any, theta: any, { x }: any) => tf.mean(x),");
  assert.match(
    apart,
    /apart\.ts: loss must depend on every parameter, it does not on w; leave out or freeze/,
  );
});

test("a loss that loops for ever, or ends its process, ends the job with that reason", async () => {
  const stall = { model: { module: "loop.ts" }, stallMinutes: 0.4 };
  writeFileSync(join(folder, "loop.ts"), moduleWith("loss: () => { for (;;); },"));
  const looped = await run("loop", stall);
  assert.equal(looped.status, "failed");
  assert.match(
    looped.reason ?? "",
    /^model\.module loop\.ts: its code has not returned for 21\.6 s, so it may loop/,
  );
  assert.match(
    await reasonFor("leaving", "loss: () => process.exit(0),"),
    /^model\.module leaving\.ts: its code ended its process with exit status 0$/,
  );
});

test("a module from elsewhere is named as code before the job starts", async () => {
  mkdirSync(join(folder, "jobs"), { recursive: true });
  const job = jobOf(
    { name: "away", model: { module: "../mlp.ts" }, data: { type: "module" }, steps: 1 },
    "away",
  );
  const { notes } = await prepareJob(
    { job, textPath: null, folder: join(folder, "jobs") },
    { cache: join(lab.target.home, "cache"), environment: {} },
  );
  assert.deepEqual(notes, [
    "model.module ../mlp.ts lies outside of the job file's folder: it is code, which runs on this machine and in every worker; read it first",
  ]);
  assert.deepEqual((await prepared("near", {})).notes, []);
});

test("a batch that does not fit its shape ends the job and names the array", async () => {
  const wrong = await reasonFor(
    "wrong",
    "batch: () => ({ x: { shape: [3, 2], values: new Float32Array(5) } }),",
  );
  assert.match(wrong, /wrong\.ts: batch\.x has shape \[3,2\] but 5 values/);
  const plain = await reasonFor("plain", "batch: () => ({ x: { shape: [2], values: [1, 2] } }),");
  assert.match(plain, /plain\.ts: batch\.x must be \{ shape, values: Float32Array or Int32Array \}/);
});

test("what can be seen of a module without training is refused at submission", async () => {
  const refuse = async (source: string, message: RegExp) => {
    writeFileSync(join(folder, "refused.ts"), source);
    const changes = { model: { module: "refused.ts" } };
    await assert.rejects(prepared("refused", changes), { name: "InvalidInput", message });
  };
  await refuse(
    "export const x = 1;",
    /refused\.ts must export default an object with the function parameters and loss/,
  );
  await refuse("export default {", /refused\.ts does not run: /);
  await refuse(
    'import { x } from "./other.ts"; export default x;',
    /one file that imports nothing but types/,
  );
  await refuse(
    moduleWith("parameters: () => [{ name: 'a b', shape: [0] }],"),
    /parameters are malformed \(0\.name: must be/,
  );
  await refuse(moduleWith("files: () => ({ '../x.json': '' }),"), /files are malformed/);
  await refuse("x".repeat(2 << 20), /must be at most 1048576 bytes/);
  await assert.rejects(prepared("absent", { model: { module: "absent.ts" } }), {
    message: /must name a file that exists/,
  });
});

test("evaluate takes a model of one's own on what its job holds out, with the loss of the job's own evaluation", async () => {
  const changes = { steps: 4, evaluateEvery: 4, freeze: ["hidden.bias"] };
  const { evaluation } = await run("held-out", changes);
  assert.ok(evaluation?.version === 4);
  assert.deepEqual(await evaluateHeldOut(lab.target, "held-out"), {
    loss: evaluation.loss,
    sequences: 32 * 20,
    version: 4,
  });
  const path = join(folder, "text.txt");
  await assert.rejects(evaluateOwn(lab.target, "held-out", undefined, { path }), {
    name: "InvalidInput",
    message:
      /held-out trains on what the batch function of mlp\.ts makes, so it can't be evaluated on a text/,
  });
  await assert.rejects(evaluateHeldOut(lab.target, "held-out", 77), { message: /has no version 77/ });
});

test("evaluate takes a model of one's own that trains on text on another text, window by window", async () => {
  // The loss is the share of targets that are the letter e, and it asks for windows as in training.
  const changes = `
    batch: undefined,
    loss: (tf: any, theta: any, { inputs, targets }: any, { context }: any) => {
      if (inputs.shape[1] !== context || targets.shape[1] !== context) throw new Error("another window");
      const e = tf.equal(targets, tf.scalar(E, "int32"));
      return tf.add(tf.mean(tf.cast(e, "float32")), tf.mul(0, tf.sum(theta.w)));
    },`;
  const letters = [...new Set(readFileSync(join(folder, "text.txt"), "utf8"))].sort();
  const source = moduleWith(changes).replace("E,", `${letters.indexOf("e")},`);
  writeFileSync(join(folder, "on-text.ts"), source);
  const model = { module: "on-text.ts", context: 8 };
  const state = await run("on-text", { model, data: { type: "text", path: "text.txt" }, batch: 2 });
  assert.equal(state.status, "succeeded", state.reason ?? "");
  const path = join(folder, "other.txt");
  const text = "the one question is not to be that or ".repeat(7);
  writeFileSync(path, text);
  const result = await evaluateOwn(lab.target, "on-text", undefined, { path });
  const predicted = 8 * Math.floor((text.length - 1) / 8);
  const wanted = [...text.slice(1, predicted + 1)].filter((letter) => letter === "e").length / predicted;
  assert.deepEqual([result.tokens, result.predicted, result.bitsPerByte], [text.length, predicted, null]);
  assert.ok(Math.abs(result.loss - wanted) < 1e-6, `${result.loss} is not ${wanted}`);
  writeFileSync(path, "to be");
  await assert.rejects(evaluateOwn(lab.target, "on-text", undefined, { path }), {
    message: /must have at least 9 tokens to evaluate, got 5/,
  });
});
