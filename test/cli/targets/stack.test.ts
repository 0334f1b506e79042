import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { hasEnded, living } from "../../../cloud/worker-groups.ts";
import { keys } from "../../../protocol/keys.ts";
import { nativeStatus } from "../../../scripts/native.mjs";
import { type BatchLab, openBatchLab } from "../../functions/batch-lab.ts";
import { accessOf } from "../../support/addresses.ts";
import { waitFor } from "../../support/lab.ts";
import { Playground } from "../command.ts";
import { type FakeServices, startFakeServices } from "../fake-services.ts";

/**
 * `--stack`: S3 and SQS of the embedded emulator, workers of a fake AWS Batch, and a functions process in place of the
 * Lambdas. ps-submit finds all of it through SSM parameters, as on AWS.
 */
const skip = nativeStatus().available
  ? false
  : "workers of a stack need native TensorFlow, which is not here";
const DEADLINE_MS = 60_000;
/** A job that gets no worker would wait for ever. */
const TEST_MS = 120_000;
const ROOT = "/serverless-ps/ps/";

let lab: BatchLab;
let services: FakeServices;
let playground: Playground;

const job = {
  model: { type: "linear", inputs: 10, outputs: 10 },
  data: { type: "linear" },
  optimizer: { type: "adamw", learningRate: 0.05 },
  ...{ steps: 40, ranks: 2, shards: 2, batch: 8, workers: 2 },
};

before(async () => {
  if (skip) return;
  lab = await openBatchLab({
    command: [process.execPath, join("dist", "worker.js")],
    vcpus: 3,
    secondMs: 50,
  });
  const { home } = lab.target;
  const functionsLogs = join(home, "logs", "lambda");
  mkdirSync(functionsLogs, { recursive: true });
  lab.start("functions", { name: join("lambda", "updates"), env: lab.environment });
  services = await startFakeServices({
    "/functions": functionsLogs,
    "/workers": join(home, "logs", "batch"),
  });
  playground = new Playground({
    ...accessOf(lab.environment),
    AWS_ENDPOINT_URL_BATCH: lab.environment.AWS_ENDPOINT_URL_BATCH ?? "",
    AWS_ENDPOINT_URL_SSM: services.endpoint,
    AWS_ENDPOINT_URL_CLOUDWATCH_LOGS: services.endpoint,
    AWS_ENDPOINT_URL_STS: services.endpoint,
    AWS_ENDPOINT_URL_SERVICE_QUOTAS: services.endpoint,
    PS_STACK: "ps",
  });
  playground.write("job.json", job);
  const parameters = {
    bucket: lab.environment.PS_BUCKET,
    "updates-url": lab.environment.PS_UPDATES_URL,
    "queue-prefix": lab.environment.PS_QUEUE_PREFIX,
    "logs/updates": "/functions",
    "logs/dead-letters": "/none-yet",
    "logs/watchdog": "/none-yet",
  };
  for (const [name, value] of Object.entries(parameters)) services.parameters.set(ROOT + name, value ?? "");
});

after(async () => {
  if (skip) return;
  await playground.close();
  services.close();
  await lab.close();
});

const nothingLeft = (name: string, attempt: number) =>
  waitFor(
    async () => {
      const groups = await lab.cloud.batch.groups(name, attempt);
      const marker = await lab.cloud.store.list(keys.active(name, attempt));
      return (groups.every(hasEnded) && marker.length === 0) || null;
    },
    `the end of all that ${name} had`,
    DEADLINE_MS,
  );

test("a stack that is not there is refused with those that are, one without workers with what to deploy", {
  skip,
  timeout: TEST_MS,
}, async () => {
  const wrong = await playground.run("list", "--stack", "other");
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /there is no stack other in us-east-1; there are ps/);
  const none = await playground.run("job.json", "--set", "name=too-soon");
  assert.equal(none.code, 2);
  assert.match(none.stderr, /the stack ps has no workers; deploy ps-Workers/);
  const group = [...lab.fake.definitions.keys()][0] ?? "";
  const workers = {
    "job-queue/cpu": "ps-cpu",
    "job-definition/cpu": `${group}:1`,
    "image/cpu": "registry/worker@sha256:1",
    "logs/workers": "/workers",
  };
  for (const [name, value] of Object.entries(workers)) services.parameters.set(ROOT + name, value);
});

test("a job runs on the stack to the bytes of an embedded run, and leaves nothing behind", {
  skip,
  timeout: TEST_MS,
}, async () => {
  const run = await playground.run("job.json", "--set", "name=whole");
  assert.equal(run.code, 0, run.stdout + run.stderr);
  assert.match(run.stdout, /linear 10x10, tensorflow registry\/worker@sha256:1 on cpu/);
  assert.match(run.stdout, /whole succeeded: 40 steps/);
  const { sha256, device, workers } = await playground.status("whole");
  assert.equal(device, "cpu");
  await nothingLeft("whole", 1);
  assert.ok(typeof workers === "object" && workers !== null && "succeeded" in workers);
  const here = new Playground();
  here.write("job.json", job);
  assert.equal((await here.run("job.json", "--set", "name=whole")).code, 0);
  assert.equal((await here.status("whole")).sha256, sha256);
  await here.close();
  const pulled = await playground.run("list");
  assert.match(pulled.stdout, /^whole +succeeded +40\/40/m);
  assert.equal((await lab.cloud.batch.groups("whole", 1)).length, 1);
});

test("Ctrl-C leaves a job running; the same command attaches, doubling no worker; cancel ends all of it", {
  skip,
  timeout: TEST_MS,
}, async () => {
  const args = ["job.json", "--set", "name=long", "--set", "steps=100000"];
  const run = playground.start(...args);
  await run.says(/^step \d/m);
  run.child.kill("SIGINT");
  const left = await run.ended;
  assert.equal(left.code, 130);
  assert.match(
    left.stdout,
    /long keeps running; watch it again with: npx ps-submit watch long --stack ps, end it with/,
  );
  const again = playground.start(...args);
  await again.says(/^step \d/m);
  assert.match(again.stdout, /long is running already, at step/);
  const more = await playground.run("workers", "long", "3");
  assert.match(more.stdout, /long has 2 workers; asked AWS Batch for 1 more/);
  const living3 = await lab.cloud.batch.groups("long", 1);
  assert.deepEqual(living3.map(living), [2, 1]);
  const fewer = await playground.run("workers", "long", "1");
  assert.match(fewer.stdout, /2 of 3 workers give back their tasks and end/);
  const log = await playground.run("logs", "long");
  assert.match(log.stdout, /^updates +\| .*"job":"long"|^worker-0 +\| .*"event":"worker started"/m);
  const cancel = await playground.run("cancel", "long");
  assert.equal(cancel.code, 0, cancel.stderr);
  assert.match(cancel.stdout, /none of its workers is left, nor its queue/);
  assert.equal((await again.ended).code, 3);
  await nothingLeft("long", 1);
  const resumed = await playground.run("resume", "long", "--detach");
  assert.equal(resumed.code, 0, resumed.stderr);
  assert.match(resumed.stdout, /long runs on stack ps\nwatch it with: npx ps-submit watch long --stack ps/);
  assert.deepEqual((await lab.cloud.batch.groups("long", 2)).map(living), [2]);
  assert.equal((await playground.run("cancel", "long")).code, 0);
});

test("a submission that was cut short before its workers is completed by the same one", {
  skip,
  timeout: TEST_MS,
}, async () => {
  const { spec, ...rest } = await lab.cloud.jobs.record("whole");
  const { createRecord } = await import("../../../cli/submission/job-record.ts");
  const { beginJob } = await import("../../../cli/submission/attempts.ts");
  const record = { ...rest, spec: { ...spec, name: "half" } };
  await createRecord(lab.cloud, record);
  await beginJob(lab.cloud, record);
  const run = await playground.run("job.json", "--set", "name=half");
  assert.equal(run.code, 0, run.stdout + run.stderr);
  assert.match(run.stdout, /half succeeded/);
});

test("doctor finds what a submission would meet: a missing job queue, and no quotas", {
  skip,
  timeout: TEST_MS,
}, async () => {
  services.quotas.set("L-B99A9384", 1000);
  const healthy = await playground.run("doctor");
  assert.equal(healthy.code, 0, healthy.stdout + healthy.stderr);
  assert.match(healthy.stdout, /^ok +credentials +arn:aws:iam::000000000000:user\/me in us-east-1$/m);
  assert.match(healthy.stdout, /^ok +cpu workers +job queue ps-cpu, image registry\/worker@sha256:1$/m);
  assert.match(healthy.stdout, /^ok +Lambda quota +1,000 functions at once$/m);
  assert.match(healthy.stdout, /^ok +permissions +(\d+) of \1 that submitting takes$/m);
  for (const key of ["job-queue/gpu", "job-definition/gpu", "image/gpu"])
    services.parameters.set(ROOT + key, "ps-gpu");
  services.quotas.set("L-B99A9384", 10);
  const { code, stdout } = await playground.run("doctor");
  assert.equal(code, 1, stdout);
  assert.match(stdout, /^bad +gpu workers +there is no job queue ps-gpu/m);
  assert.match(
    stdout,
    /^note +GPU quota +0 vCPUs of Spot, 0 vCPUs of On-Demand G instances\n +to fix it: raise/m,
  );
  assert.match(
    stdout,
    /^note +Lambda quota +10 functions at once\n +to fix it: raise "Concurrent executions"/m,
  );
});
