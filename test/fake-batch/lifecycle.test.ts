import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { TerminateJobCommand } from "@aws-sdk/client-batch";
import { waitFor } from "../support/lab.ts";
import { openShellBatch, QUEUE, type ShellBatch } from "./support.ts";

/** The fake keeps AWS Batch's rules; else what is tested against it would say little about AWS. */

const FOREVER = "exec sleep 600";
const STUBBORN = "trap '' TERM; while :; do sleep 0.02; done";
const array = (size: number) => ({ arrayProperties: { size } });

let lab: ShellBatch;
before(async () => {
  // A second lasts 2 ms: 30 s of grace are 60 ms, the shortest timeout of 60 s is 120 ms.
  lab = await openShellBatch({ secondMs: 2 });
});
after(() => lab.close());

const terminate = (jobId: string, reason: string) =>
  lab.client.send(new TerminateJobCommand({ jobId, reason }));

const logOf = (stream: string | undefined) => readFileSync(join(lab.logs, stream ?? "none"), "utf8");

test("a job that ends with 0 has succeeded, and its output is in its log stream", async () => {
  const id = await lab.submit("echo hello");
  const job = await lab.becomes(id, "SUCCEEDED", "FAILED");
  assert.equal(job.status, "SUCCEEDED");
  assert.equal(job.container?.exitCode, 0);
  assert.equal(logOf(job.container?.logStreamName), "hello\n");
});

test("a job that ends with another code has failed, and is not tried again unless its strategy says so", async () => {
  const job = await lab.becomes(await lab.submit("exit 3"), "SUCCEEDED", "FAILED");
  assert.equal(job.status, "FAILED");
  assert.equal(job.container?.exitCode, 3);
  assert.equal(job.statusReason, "Essential container in task exited");
  assert.equal(job.attempts?.length, 1);
});

test("a job passes through its states in order", async () => {
  const order = ["SUBMITTED", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"];
  const id = await lab.submit("sleep 0.2");
  const seen: string[] = [];
  await waitFor(
    async () => {
      const { status = "" } = await lab.describe(id);
      if (seen.at(-1) !== status) seen.push(status);
      return status === "SUCCEEDED" ? seen : null;
    },
    "the end",
    10_000,
  );
  assert.deepEqual(
    seen,
    order.filter((status) => seen.includes(status)),
  );
  assert.ok(seen.includes("RUNNING"));
});

test("a container finds what Batch says of it in its environment; an index only in the child of an array", async () => {
  const script = 'env | grep ^AWS_BATCH_ | sort | sed "s/$AWS_BATCH_JOB_ID/ID/"';
  const plain = await lab.becomes(await lab.submit(script), "SUCCEEDED", "FAILED");
  assert.equal(
    logOf(plain.container?.logStreamName),
    "AWS_BATCH_CE_NAME=fake-compute-environment\nAWS_BATCH_JOB_ATTEMPT=1\nAWS_BATCH_JOB_ID=ID\n" +
      `AWS_BATCH_JQ_NAME=${QUEUE}\n`,
  );
  const id = await lab.submit(script, array(2));
  await lab.becomes(id, "SUCCEEDED", "FAILED");
  const child = await lab.describe(`${id}:1`);
  assert.match(logOf(child.container?.logStreamName), /_ARRAY_INDEX=1\nAWS_BATCH_JOB_ARRAY_SIZE=2\n/);
});

test("the parent of an array is PENDING while children are under way, and counts them by status", async () => {
  const id = await lab.submit('test "$AWS_BATCH_JOB_ARRAY_INDEX" = 0 || exec sleep 600', array(3));
  const look = async () => {
    const job = await lab.describe(id);
    const { SUCCEEDED, RUNNING } = job.arrayProperties?.statusSummary ?? {};
    return SUCCEEDED === 1 && RUNNING === 2 ? job : null;
  };
  const parent = await waitFor(look, "one child to end and two to run", 10_000);
  assert.equal(parent.status, "PENDING");
  assert.equal(parent.arrayProperties?.size, 3);
  await terminate(id, "enough");
  const ended = await lab.becomes(id, "FAILED", "SUCCEEDED");
  assert.equal(ended.status, "FAILED", "one child that failed is enough");
  assert.equal(ended.statusReason, "enough");
  assert.equal((await lab.describe(`${id}:0`)).status, "SUCCEEDED", "what had ended stays as it was");
  assert.equal((await lab.describe(`${id}:2`)).statusReason, "enough");
});

test("an array has succeeded when all of its children have", async () => {
  const id = await lab.submit("true", array(2));
  assert.equal((await lab.becomes(id, "SUCCEEDED", "FAILED")).status, "SUCCEEDED");
});

test("jobs beyond the vCPUs wait, the first of them with the reason, and start when there is room", async () => {
  const full = await fill();
  const waiting = await lab.submit("true");
  const look = async () => ((await lab.describe(waiting)).statusReason ? lab.describe(waiting) : null);
  const job = await waitFor(look, "a reason", 10_000);
  assert.equal(job.status, "RUNNABLE");
  assert.match(job.statusReason ?? "", /^CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY/);
  await terminate(`${full}:3`, "makes room");
  assert.equal((await lab.becomes(waiting, "SUCCEEDED", "FAILED")).status, "SUCCEEDED");
  await terminate(full, "done");
  await lab.becomes(full, "FAILED");
});

/** Takes all vCPUs. @returns the array that has them */
async function fill(): Promise<string> {
  const id = await lab.submit(FOREVER, array(4));
  const look = async () => (await lab.describe(id)).arrayProperties?.statusSummary?.RUNNING === 4 || null;
  await waitFor(look, "four to run", 10_000);
  return id;
}

test("terminating gives SIGTERM first, so that a container may end in order", async () => {
  const id = await lab.submit("trap 'echo in order; exit 0' TERM; while :; do sleep 0.02; done");
  await waitFor(async () => logOfRunning(id), "the container", 10_000);
  await terminate(id, "by a test");
  const job = await lab.becomes(id, "FAILED", "SUCCEEDED");
  assert.equal(job.status, "FAILED", "a terminated job has failed, whatever its exit code");
  assert.equal(job.statusReason, "by a test");
  assert.match(logOf(job.container?.logStreamName), /in order/);
});

/** Null before the trap can be in place. */
async function logOfRunning(id: string): Promise<boolean | null> {
  const { status, startedAt = 0 } = await lab.describe(id);
  return status === "RUNNING" && Date.now() - startedAt > 100 ? true : null;
}

test("a container that does not heed SIGTERM gets SIGKILL after the grace, and no other attempt", async () => {
  const id = await lab.submit(STUBBORN, { retryStrategy: { attempts: 3 } });
  await waitFor(async () => logOfRunning(id), "the container", 10_000);
  await terminate(id, "by a test");
  const job = await lab.becomes(id, "FAILED", "SUCCEEDED");
  assert.equal(job.container?.exitCode, 137);
  assert.equal(job.attempts?.length, 1);
});

test("a job that waits is ended at once, and terminating what has ended changes nothing", async () => {
  const full = await fill();
  const id = await lab.submit("true");
  await lab.becomes(id, "RUNNABLE");
  await terminate(id, "first");
  await terminate(id, "second");
  const job = await lab.describe(id);
  assert.equal(job.status, "FAILED");
  assert.equal(job.statusReason, "first");
  assert.deepEqual(job.attempts, []);
  await terminate(full, "done");
  await lab.becomes(full, "FAILED");
});

test("an attempt longer than its timeout is ended and not tried again", async () => {
  const strategy = { retryStrategy: { attempts: 3 }, timeout: { attemptDurationSeconds: 60 } };
  const job = await lab.becomes(await lab.submit(FOREVER, strategy), "FAILED", "SUCCEEDED");
  assert.equal(job.statusReason, "Job attempt duration exceeded timeout");
  assert.equal(job.attempts?.length, 1);
});

test("a job whose host is taken away is tried again, and knows which attempt it is", async () => {
  const script = 'test "$AWS_BATCH_JOB_ATTEMPT" = 2 || exec sleep 600';
  const rules = [
    { onStatusReason: "Host EC2*", action: "RETRY" as const },
    { onReason: "*", action: "EXIT" as const },
  ];
  const id = await lab.submit(script, { retryStrategy: { attempts: 5, evaluateOnExit: rules } });
  await lab.becomes(id, "RUNNING");
  assert.equal(lab.batch.reclaim(1), 1);
  const job = await lab.becomes(id, "SUCCEEDED", "FAILED");
  assert.equal(job.status, "SUCCEEDED");
  assert.equal(job.attempts?.length, 2);
  assert.match(job.attempts?.[0]?.statusReason ?? "", /^Host EC2 \(instance i-0[0-9a-f]{16}\) terminated\.$/);
  assert.equal(job.attempts?.[0]?.container?.exitCode, undefined, "nobody is left to report one");
});

test("a program that is not there fails the start of its container", async () => {
  const broken = await openShellBatch({ command: ["/no/such/program"] });
  const job = await broken.becomes(await broken.submit(""), "FAILED", "SUCCEEDED");
  await broken.close();
  assert.equal(job.statusReason, "Task failed to start");
  assert.match(job.container?.reason ?? "", /^CannotStartContainerError/);
});
