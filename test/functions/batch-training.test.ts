import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { SQSClient } from "@aws-sdk/client-sqs";
import { clientConfig } from "../../cloud/connect.ts";
import { hasEnded, living } from "../../cloud/worker-groups.ts";
import { createHandlers } from "../../functions/handler.ts";
import { poll } from "../../local/functions/poller.ts";
import { keys } from "../../protocol/keys.ts";
import { openInProcess } from "../support/in-process.ts";
import { linearJob, waitFor } from "../support/lab.ts";
import { type BatchLab, openBatchLab } from "./batch-lab.ts";

/** Workers that are nothing but jobs of AWS Batch, which come late, are reclaimed, and are ended. */

const DEADLINE_MS = 60_000;
const rules = [
  { onStatusReason: "Host EC2*", action: "RETRY" as const },
  { onReason: "*", action: "EXIT" as const },
];
let lab: BatchLab;
let close: () => Promise<void>;

before(async () => {
  const command = [process.execPath, join("dist", "worker.js")] as const;
  const definition = { retryStrategy: { attempts: 5, evaluateOnExit: rules } };
  lab = await openBatchLab({ command: [...command], vcpus: 3, secondMs: 20 }, definition);
  close = runFunctions(lab);
});
after(async () => {
  await close();
  await lab.close();
});

/** The functions as Lambda would call them, the watchdog more often. @returns what ends them */
function runFunctions({ environment, cloud }: BatchLab): () => Promise<void> {
  const handlers = createHandlers({ ...environment, PS_REDISPATCH_SECONDS: "2" });
  const client = new SQSClient(clientConfig(environment));
  const stop = new AbortController();
  const source = { client, url: cloud.updates, handler: handlers.updates, visibilitySeconds: 10 };
  const polling = [poll(source, stop.signal), poll(source, stop.signal)];
  const watchdog = setInterval(() => void handlers.watchdog().catch(console.error), 500);
  return async () => {
    clearInterval(watchdog);
    stop.abort();
    await Promise.all(polling);
    client.destroy();
    handlers.cloud.close();
  };
}

const reached = (job: string, version: number) =>
  waitFor(
    async () => ((await lab.cloud.jobs.state(job)).state.version ?? -1) >= version || null,
    `version ${version} of ${job}`,
    DEADLINE_MS,
  );

async function undisturbed(spec: ReturnType<typeof linearJob>): Promise<string> {
  const embedded = await openInProcess();
  const { status, reason } = await embedded.run(spec, DEADLINE_MS);
  assert.equal(status, "succeeded", reason ?? "");
  const digest = await embedded.digest(spec.name, spec.steps);
  await embedded.close();
  return digest;
}

test("reclaimed hosts and ended workers cost time alone: the result is that of an embedded run", async () => {
  const spec = linearJob("on-batch", { steps: 40, ranks: 3 });
  const { name: job } = spec;
  await lab.submit(spec);
  const array = await lab.workers(job, 3);
  await reached(job, 6);
  assert.equal(lab.fake.reclaim(2), 2);
  await reached(job, 18);
  assert.equal(await lab.cloud.batch.reduce(job, 1, 2, "fewer workers"), 1);
  await reached(job, 26);
  await lab.workers(job, 1);
  const ended = await lab.ended(job, DEADLINE_MS);
  assert.equal(ended.status, "succeeded", ended.reason ?? "");

  const groups = await waitFor(
    async () => {
      const found = await lab.cloud.batch.groups(job, 1);
      return found.every(hasEnded) && (await lab.cloud.store.list(keys.active(job, 1))).length === 0
        ? found
        : null;
    },
    "the end of all workers",
    DEADLINE_MS,
  );
  assert.deepEqual(groups.map(living), [0, 0]);
  const members = await lab.cloud.batch.members({ id: array, size: 3 });
  const manifest = await lab.cloud.jobs.manifest(job, spec.steps);
  const named = new Set(manifest?.metrics.flatMap(({ workers }) => workers));
  const ids = [...members, ...groups].map(({ id }) => id);
  assert.deepEqual(
    [...named].filter((name) => !ids.includes(name)),
    [],
    "workers have their Batch job's id",
  );
  assert.ok(named.size > 1);
  assert.equal(members.filter(({ reason }) => reason === "fewer workers").length, 1);
  const attempts = [...lab.fake.jobs.values()].flatMap((member) => member.attempts);
  assert.equal(attempts.filter(({ statusReason }) => statusReason?.startsWith("Host EC2")).length, 2);
  assert.deepEqual(await lab.cloud.store.list(keys.gradients(job)), []);
  assert.equal(await lab.digest(job, spec.steps), await undisturbed(spec));
});

test("a job whose workers cannot start fails by itself, with what to look at", async () => {
  const { name: job } = linearJob("wrong-cloud");
  await lab.submit(linearJob(job));
  await lab.workers(job, 2, { PS_BUCKET: "no-such-bucket" });
  const { status, reason } = await lab.ended(job, DEADLINE_MS);
  assert.equal(status, "failed");
  assert.match(
    reason ?? "",
    /^all 2 workers have ended; worker .*:0 failed: .*exit code \d+; see log stream/,
  );
});
