import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { loadBackend } from "../../ml/tensorflow/load.ts";
import type { JobRecord } from "../../protocol/records.ts";
import { workerExit } from "../../protocol/worker-exit.ts";
import { nativeStatus } from "../../scripts/native.mjs";
import { runWorker } from "../../worker/run.ts";
import { type InProcess, openInProcess } from "../support/in-process.ts";
import { linearJob } from "../support/lab.ts";
import { datasetOf, TEXT, tinyJob } from "../support/models.ts";
import { changeRecord, withProvenance } from "../support/records.ts";

/** What no worker of a job could start with ends the job with the reason; what may pass does not. */
let lab: InProcess;
before(async () => {
  lab = await openInProcess();
});
after(() => lab.close());

const started = (job: string, env: Record<string, string> = {}) =>
  runWorker(
    { ...lab.target.environment, PS_JOB: job, PS_CACHE_DIR: join(lab.target.home, "fresh", job), ...env },
    () => {},
    new AbortController().signal,
  );

/** Starts a worker for a job that it must refuse, and gives the reason with which the job ended. */
async function refusal(job: string, env: Record<string, string> = {}): Promise<string> {
  assert.equal(await started(job, env), workerExit.refused);
  const state = await lab.ended(job);
  assert.equal(state.status, "failed");
  return state.reason ?? "";
}

/** Submits a job and changes its record before anyone has read it. */
async function submitAs(name: string, changes: (record: JobRecord) => object): Promise<void> {
  await lab.submit(linearJob(name));
  await changeRecord(lab.cloud.store, name, changes);
}

test("a damaged record ends the job", async () => {
  await submitAs("bad-record", (record) => ({ ...record, dataset: "no digest" }));
  assert.match(await refusal("bad-record"), /jobs\/bad-record\/job\.json.*dataset/);
});

test("a dataset that is missing ends the job and says what to do", async () => {
  await submitAs("no-dataset", (record) => ({ ...record, dataset: "0".repeat(64) }));
  assert.match(await refusal("no-dataset"), /datasets\/0{64}\/.* is missing; submit the job again/);
});

test("a module that is missing ends the job", async () => {
  const model = { type: "module", module: "mine.ts", options: {}, digest: "0".repeat(64) };
  await submitAs("no-module", (record) => ({
    ...record,
    spec: { ...record.spec, model, data: { type: "module" } },
  }));
  assert.match(await refusal("no-module"), /modules\/0{64}.* is missing/);
});

test("a worker of another device than the job was submitted for ends the job", async () => {
  await submitAs("cpu-job", (record) => record);
  const reason = await refusal("cpu-job", { PS_DEVICE: "gpu" });
  assert.match(reason, /submitted for device "cpu", and its worker's device \(PS_DEVICE\) is "gpu"/);
});

const native = nativeStatus();
const device = native.available ? (await loadBackend("tensorflow")).device : null;
const skip = {
  null: native.available ? false : `native TensorFlow is not installed here: ${native.reason}`,
  gpu: "there is a GPU here, so none can be missed",
  cpu: false,
}[String(device)];

test("a job for a GPU is not trained on a CPU", { skip }, async () => {
  await submitAs("gpu-job", withProvenance({ backend: "tensorflow", device: "gpu" }));
  const reason = await refusal("gpu-job", { PS_DEVICE: "gpu" });
  assert.match(reason, /^device "gpu" is not available: tensorflow \d.* finds no GPU here/);
});

test("an error of the machine ends the job at once: a cache that can't be made", async () => {
  const spec = tinyJob({ name: "no-cache", ranks: 1 });
  await lab.submit(spec, await datasetOf(TEXT));
  lab.start("worker", { job: spec.name, env: { PS_CACHE_DIR: "/dev/null/cache" } });
  const { status, reason } = await lab.ended(spec.name, 30_000);
  assert.equal(status, "failed");
  assert.match(reason ?? "", /^the cache folder \/dev\/null\/cache cannot be written; export PS_CACHE_DIR=/);
});

test("a worker whose job is not there refuses it", async () => {
  assert.equal(await started("never-submitted"), workerExit.refused);
});

test("a worker whose endpoint is in trouble waits, and then does the job", async (t) => {
  const troubled = await gate(t, 8);
  await lab.submit(linearJob("patient", { steps: 2 }));
  assert.equal(await started("patient", { AWS_ENDPOINT_URL: troubled.url }), workerExit.done);
  assert.ok(troubled.refused() === 8, "it was in trouble");
  assert.equal((await lab.ended("patient")).status, "succeeded");
});

/** An endpoint that answers 503 to the first `count` requests and then lets through to the emulator. */
async function gate(t: TestContext, count: number) {
  let refused = 0;
  const emulator = new URL(lab.target.environment.AWS_ENDPOINT_URL ?? "");
  const server = createServer((incoming, response) => {
    if (refused < count) {
      refused++;
      return response.writeHead(503).end();
    }
    const { method, url, headers } = incoming;
    const target = { host: emulator.hostname, port: emulator.port, method, path: url, headers };
    const through = request(target, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    incoming.pipe(through);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    refused: () => refused,
  };
}
