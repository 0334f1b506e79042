import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { SetQueueAttributesCommand, SQSClient } from "@aws-sdk/client-sqs";
import { prepareJob, uploadInputs } from "../../cli/submission/prepare-job.ts";
import { clientConfig } from "../../cloud/connect.ts";
import { parseJobFile } from "../../protocol/job.ts";
import { type Lab, linearJob, openLab, waitFor } from "../support/lab.ts";

/** Whatever ends a worker, its task is another's within seconds, although a gradient is computed in one go. */
const folder = mkdtempSync(join(tmpdir(), "ps-stop-"));
let lab: Lab;
before(async () => {
  lab = await openLab();
});
after(async () => {
  await lab.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Longer than the tests wait: a worker that heard of its end only after this would fail them. */
const BUSY_MS = 60_000;
const SOON_MS = 10_000;
/** So long that no lease lapses by itself while a test waits. */
const LEASE_SECONDS = "600";

const BUSY = "the gradient is being computed";

/**
 * A model whose loss says that it is there and then holds its process, in the worker that has TF_BUSY in its environment.
 * Code of a module may write no file; what it prints is in its worker's log.
 */
const busyModel = `
  export default {
    parameters: () => [{ name: "w", shape: [2, 1], init: { type: "ones" } }],
    batch: ({ rows }: { rows: number }) => ({ x: { shape: [rows, 2], values: new Float32Array(2 * rows).fill(1) } }),
    loss(tf: any, theta: any, batch: any) {
      if (process.env.TF_BUSY === "1") {
        process.stderr.write(${JSON.stringify(`${BUSY} `)} + process.pid + "\\n");
        for (const end = Date.now() + ${BUSY_MS}; Date.now() < end; );
      }
      return tf.mean(tf.square(tf.matMul(batch.x, theta.w)));
    },
  };`;

type Busy = {
  readonly worker: ChildProcess;
  /** Of the process that runs the module's code. */
  readonly modulePid: number;
  readonly depth: () => Promise<{ waiting: number }>;
};

/** A job of one step, and a worker that is in the middle of its gradient. */
async function busyWorker(name: string, env: Record<string, string> = {}): Promise<Busy> {
  writeFileSync(join(folder, `${name}.ts`), busyModel);
  const job = {
    name,
    model: { module: `${name}.ts` },
    data: { type: "module" },
    optimizer: { type: "sgd", learningRate: 0.1 },
    steps: 1,
    batch: 4,
    backend: "wasm",
  };
  const file = { job: parseJobFile(job, name), textPath: null, folder };
  const prepared = await prepareJob(file, { cache: join(folder, "cache"), environment: {} });
  await uploadInputs(lab.cloud, prepared);
  await lab.submit(prepared.spec);
  const url = (await lab.cloud.queues.findTasks(name, 1)) ?? "";
  await setLease(url);
  // It must not hand the task out again: what comes back, the worker gave back.
  lab.start("functions", { name: `functions-${name}`, env: { PS_REDISPATCH_SECONDS: "600" } });
  const worker = lab.start("worker", { job: name, name: `worker-${name}`, env: { ...env, TF_BUSY: "1" } });
  const log = join(lab.target.home, "logs", `worker-${name}.log`);
  const pidOfBusy = async () => new RegExp(`${BUSY} (\\d+)\n`).exec(readFileSync(log, "utf8"))?.[1] ?? null;
  const modulePid = Number(await waitFor(pidOfBusy, "a gradient to be computed", 30_000));
  return { worker, modulePid, depth: () => lab.cloud.queues.depth(url) };
}

async function setLease(QueueUrl: string): Promise<void> {
  const sqs = new SQSClient(clientConfig(lab.target.environment));
  await sqs.send(
    new SetQueueAttributesCommand({ QueueUrl, Attributes: { VisibilityTimeout: LEASE_SECONDS } }),
  );
  sqs.destroy();
}

const givenBack = ({ depth }: Busy) =>
  waitFor(async () => ((await depth()).waiting === 1 ? true : null), "the task to be given back", SOON_MS);

/** Waits until the module's code, which loops for much longer, is gone with its worker. */
const moduleEnds = ({ modulePid }: Busy) =>
  waitFor(async () => !isAlive(modulePid) || null, "the module's process to end", SOON_MS);

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test("kill -9 of a worker ends the process that runs its module's code", async () => {
  const busy = await busyWorker("killed");
  assert.ok(isAlive(busy.modulePid));
  busy.worker.kill("SIGKILL");
  await moduleEnds(busy);
});

/** Another worker does the task that the first gave back. */
async function finishedByAnother(job: string): Promise<void> {
  lab.start("worker", { job, name: `another-${job}` });
  const state = await lab.ended(job);
  assert.equal(state.status, "succeeded", state.reason ?? "");
}

test("SIGTERM in the middle of a gradient gives the task back and ends the worker", async () => {
  const busy = await busyWorker("sigterm");
  const exit = once(busy.worker, "exit");
  busy.worker.kill("SIGTERM");
  await givenBack(busy);
  assert.deepEqual(await exit, [null, "SIGTERM"]);
  await moduleEnds(busy);
  await finishedByAnother("sigterm");
});

test("the end of its parent does the same", async () => {
  const busy = await busyWorker("orphan");
  const exit = once(busy.worker, "exit");
  busy.worker.disconnect();
  await givenBack(busy);
  assert.deepEqual(await exit, [null, "SIGTERM"]);
  await moduleEnds(busy);
});

test("a Spot notice gives the task back; the worker takes no other and waits for the host's SIGTERM", async (t) => {
  const ec2 = await fakeMetadata(t);
  const busy = await busyWorker("spot", {
    AWS_BATCH_JOB_ID: "d41d8cd9",
    ECS_CONTAINER_METADATA_URI_V4: "http://127.0.0.1:9/v4",
    AWS_EC2_METADATA_SERVICE_ENDPOINT: ec2.endpoint,
  });
  await waitFor(async () => (ec2.asked() > 0 ? true : null), "the metadata to be asked", SOON_MS);
  ec2.reclaim();
  await givenBack(busy);
  assert.equal(busy.worker.exitCode, null, "it has not left: Batch would call that a success or a failure");
  const exit = once(busy.worker, "exit");
  busy.worker.kill("SIGTERM");
  assert.deepEqual(await exit, [null, "SIGTERM"]);
  await moduleEnds(busy);
  await finishedByAnother("spot");
});

/** The part of an instance's metadata service (version 2) that tells of a Spot interruption. */
async function fakeMetadata(t: TestContext) {
  let [asked, notice] = [0, ""];
  const server = createServer((request, response) => {
    const { method, url, headers } = request;
    if (method === "PUT" && url === "/latest/api/token") return response.end("a-token");
    if (headers["x-aws-ec2-metadata-token"] !== "a-token") return response.writeHead(401).end();
    if (url === "/latest/meta-data/spot/instance-action") asked++;
    return notice === "" ? response.writeHead(404).end() : response.end(notice);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked: () => asked,
    reclaim: () => {
      notice = '{"action":"terminate","time":"2030-01-01T00:00:00Z"}';
    },
  };
}

test("a worker that waits for a task leaves at once", async () => {
  await lab.submit(linearJob("idle"));
  const worker = spawn(process.execPath, [join("dist", "worker.js")], {
    env: { ...process.env, ...lab.target.environment, PS_JOB: "idle" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  worker.stderr.on("data", (text) => {
    said += text;
  });
  await waitFor(async () => (said.includes("worker started") ? true : null), "the worker to start", 30_000);
  const exit = once(worker, "exit");
  worker.kill("SIGTERM");
  // Sooner than its long poll ends.
  await waitFor(async () => (worker.signalCode === "SIGTERM" ? true : null), "its end", SOON_MS);
  await exit;
});
