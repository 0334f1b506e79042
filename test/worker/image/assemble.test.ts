import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { workerExit } from "../../../protocol/worker-exit.ts";
import { isComplete, libraryDirectory } from "../../../scripts/native.mjs";
import { type Lab, linearJob, openLab } from "../../support/lab.ts";
import { changeRecord, withProvenance } from "../../support/records.ts";
import { parseDockerfile, stagesOf } from "./dockerfile.ts";

/**
 * The image's steps without Docker: the worker is built from what the ignore file lets through, assembled for the CPU
 * into a folder, and started from there by the image's entry point, in the environment that Batch gives it.
 */
const skip = isComplete(libraryDirectory())
  ? false
  : "TensorFlow's CPU library is not installed, and a test downloads nothing; npx ps-submit setup fetches it";

const root = mkdtempSync(join(tmpdir(), "ps-image-"));
const [context, app] = [join(root, "build"), join(root, "app")];
let lab: Lab;
before(async () => {
  lab = await openLab();
});
after(async () => {
  await lab.close();
  rmSync(root, { recursive: true, force: true });
});

type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string };

function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<Ended> {
  return new Promise((done) => {
    execFile(command, args, { env, timeout: 120_000 }, (error, stdout, stderr) =>
      done({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr }),
    );
  });
}

/** The entry point of the image, with `/app` where the test has it. */
function runImage(args: readonly string[], env: NodeJS.ProcessEnv): Promise<Ended> {
  const last = stagesOf(parseDockerfile(readFileSync("worker/Dockerfile", "utf8"))).at(-1) ?? [];
  const entry = JSON.parse(last.find(({ name }) => name === "ENTRYPOINT")?.text ?? "[]");
  const [, ...rest] = entry.map((part: string) => part.replace("/app", app));
  return run(process.execPath, [...rest, ...args], env);
}

/** The environment that Batch sets for the first child of an array job, beside what the job definition and the submitter set. */
const batchEnvironment = (job: string, device: string) => ({
  ...lab.target.environment,
  PATH: process.env.PATH,
  PS_CACHE_DIR: join(root, "cache"),
  PS_DEVICE: device,
  PS_JOB: job,
  TF_FORCE_GPU_ALLOW_GROWTH: "true",
  AWS_BATCH_JOB_ID: "5d0f7a44:0",
  AWS_BATCH_JOB_ARRAY_INDEX: "0",
  AWS_BATCH_JOB_ATTEMPT: "1",
});

/** Copies the files that `COPY . .` copies. */
function copyContext(): void {
  for (const line of readFileSync("worker/Dockerfile.dockerignore", "utf8").split("\n")) {
    if (!line.startsWith("!")) continue;
    const name = line.slice(1);
    cpSync(name, join(context, name), { recursive: true });
  }
  symlinkSync(resolve("node_modules"), join(context, "node_modules"));
}

test("the steps give a folder with a worker and only what it needs", { skip }, async () => {
  copyContext();
  const { PS_TENSORFLOW_DIR: _, ...env } = process.env;
  const script = join(context, "worker/image/assemble.sh");
  const { code, stdout, stderr } = await run(script, [app], { ...env, DEVICE: "cpu" });
  assert.equal(code, 0, stdout + stderr);
  assert.deepEqual(readdirSync(app).sort(), ["dist", "native-status.json", "node_modules", "package.json"]);
  const modules = readdirSync(join(app, "node_modules"));
  for (const name of ["node-api-headers", "@mapbox", "aws-cdk-lib", "@aws-sdk", "esbuild"]) {
    assert.ok(!modules.includes(name), `${name} is left out`);
  }
});

test("its smoke command names the device, and fails when that is not the one wanted", { skip }, async () => {
  const cpu = await runImage(["--smoke"], { PS_DEVICE: "cpu" });
  assert.equal(cpu.code, 0, cpu.stdout);
  const { version, ...said } = JSON.parse(cpu.stdout);
  assert.deepEqual(said, { backend: "tensorflow", device: "cpu", matmul: "right" });
  assert.match(version, /^\d+\.\d+\.\d+$/);
  const gpu = await runImage(["--smoke"], { PS_DEVICE: "gpu" });
  assert.equal(gpu.code, workerExit.crashed);
  assert.match(JSON.parse(gpu.stdout).error, /^device "gpu" is not available/);
});

test("started as Batch does it, it trains a step on native TensorFlow", { skip }, async () => {
  await lab.submit(linearJob("image-cpu", { steps: 1, ranks: 1, backend: "tensorflow" }));
  await changeRecord(lab.cloud.store, "image-cpu", withProvenance({ backend: "tensorflow" }));
  lab.start("functions");
  const { code, stderr } = await runImage([], batchEnvironment("image-cpu", "cpu"));
  assert.equal(code, workerExit.done, stderr);
  assert.match(stderr, /"worker started",.*"backend":"tensorflow","version":"\d/);
  const state = await lab.ended("image-cpu");
  assert.deepEqual([state.status, state.version], ["succeeded", 1]);
});

test("started on a machine without the GPU of the job, it ends the job and says why", { skip }, async () => {
  await lab.submit(linearJob("image-gpu", { backend: "tensorflow", device: "gpu" }));
  await changeRecord(lab.cloud.store, "image-gpu", withProvenance({ backend: "tensorflow", device: "gpu" }));
  const { code, stderr } = await runImage([], batchEnvironment("image-gpu", "gpu"));
  assert.equal(code, workerExit.refused, stderr);
  const state = await lab.ended("image-gpu");
  assert.equal(state.status, "failed");
  assert.match(state.reason ?? "", /^device "gpu" is not available: tensorflow .* finds no GPU here/);
});
