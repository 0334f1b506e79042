import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Batch } from "../../cloud/batch.ts";
import { connect } from "../../cloud/connect.ts";
import { living, type WorkerGroup } from "../../cloud/worker-groups.ts";
import {
  access,
  DEFINITION,
  furnish,
  openShellBatch,
  QUEUE,
  type ShellBatch,
} from "../fake-batch/support.ts";
import { waitFor } from "../support/lab.ts";

const FOREVER = "exec sleep 600";
let lab: ShellBatch;
let batch: Batch;
before(async () => {
  lab = await openShellBatch({ vcpus: 3, secondMs: 2 });
  await furnish(lab.client, "test-gpu");
  batch = new Batch(lab.client, [QUEUE, "test-gpu", "not-deployed"], "test-");
});
after(() => lab.close());

const submit = (job: string, size: number, script = FOREVER, queue = QUEUE) =>
  batch.submit({ job, attempt: 1, queue, definition: DEFINITION, size, environment: { SCRIPT: script } });

/** Waits until the attempt's groups are as `isSo` wants them. */
const groupsOf = (job: string, isSo: (groups: WorkerGroup[]) => boolean) =>
  waitFor(
    async () => {
      const groups = await batch.groups(job, 1);
      return isSo(groups) ? groups : null;
    },
    `the workers of ${job}`,
    20_000,
  );
const running = (groups: readonly WorkerGroup[]) =>
  groups.reduce((sum, { counts }) => sum + counts.RUNNING, 0);
const alive = (groups: readonly WorkerGroup[]) => groups.reduce((sum, group) => sum + living(group), 0);

test("one worker is a plain job, more are an array, and counts add up to the size at any time", async () => {
  await submit("counted", 1);
  const [just] = await batch.groups("counted", 1);
  assert.deepEqual([just?.size, just?.name], [1, "test-counted-workers-1"]);
  await submit("counted", 2, FOREVER, "test-gpu");
  await groupsOf("counted", (groups) => {
    for (const { counts, size } of groups)
      assert.equal(
        Object.values(counts).reduce((sum, count) => sum + count, 0),
        size,
      );
    return groups.length === 2 && running(groups) === 3;
  });
  assert.equal(await batch.terminate("counted", 1, "done"), 2);
  await groupsOf("counted", (groups) => alive(groups) === 0);
  assert.equal(await batch.terminate("counted", 1, "again"), 0);
});

test("groups are the attempt's own, by the exact name, oldest first", async () => {
  const first = await submit("names", 1, "true");
  const second = await submit("names", 2, "true");
  await submit("names-2", 1, "true");
  const other = { job: "names", attempt: 2, queue: QUEUE, definition: DEFINITION, size: 1, environment: {} };
  await batch.submit(other);
  assert.deepEqual(
    (await batch.groups("names", 1)).map(({ id }) => id),
    [first, second],
  );
  await groupsOf("names", (groups) => alive(groups) === 0);
});

test("members tell how each worker ended and where its log is", async () => {
  const id = await submit("ends", 2, "exit $AWS_BATCH_JOB_ARRAY_INDEX");
  await groupsOf("ends", (groups) => alive(groups) === 0);
  const members = await batch.members({ id, size: 2 });
  assert.deepEqual(
    members.map(({ index, status, exitCode, attempts }) => [index, status, exitCode, attempts]),
    [
      [0, "SUCCEEDED", 0, 1],
      [1, "FAILED", 1, 1],
    ],
  );
  assert.equal(members[1]?.reason, "Essential container in task exited");
  assert.match(members[1]?.logStream ?? "", new RegExp(`^${DEFINITION}/default/`));
});

test("a member that waits says why", async () => {
  const id = await submit("waits", 4);
  const look = async () => {
    const [waiting] = (await batch.members({ id, size: 4 })).filter(({ reason }) => reason !== null);
    return waiting ?? null;
  };
  const { status, reason } = await waitFor(look, "a reason", 20_000);
  assert.equal(status, "RUNNABLE");
  assert.match(reason ?? "", /INSUFFICIENT_INSTANCE_CAPACITY/);
  await batch.terminate("waits", 1, "done");
});

test("fewer workers: those that wait go first, then the youngest group's, the highest index first", async () => {
  const old = await submit("fewer", 2);
  await groupsOf("fewer", (groups) => running(groups) === 2);
  const young = await submit("fewer", 3);
  await groupsOf("fewer", (groups) => running(groups) === 3 && groups[1]?.counts.RUNNABLE === 2);
  const living = async () => {
    const groups = await batch.groups("fewer", 1);
    const members = (await Promise.all(groups.map((group) => batch.members(group)))).flat();
    return members.filter(({ status }) => status !== "FAILED").map(({ id }) => id);
  };
  const left = (...ids: string[]) =>
    waitFor(async () => ((await living()).join() === ids.join() ? true : null), ids.join(), 20_000);
  assert.equal(await batch.reduce("fewer", 1, 4, "fewer"), 1);
  await left(`${old}:0`, `${old}:1`, `${young}:0`, `${young}:1`);
  assert.equal(await batch.reduce("fewer", 1, 4, "fewer"), 0, "there are no more than that");
  assert.equal(await batch.reduce("fewer", 1, 1, "fewer"), 3);
  await left(`${old}:0`);
  await batch.terminate("fewer", 1, "done");
});

test("fewer workers: one that waits goes before one that runs, though its group is the older", async () => {
  await submit("blocks", 3);
  await groupsOf("blocks", (groups) => running(groups) === 3);
  const old = await submit("older", 1, FOREVER, "test-gpu");
  const young = await submit("older", 1);
  // Only once it waits too does its queue come first; before, the other would get the room.
  await lab.becomes(young, "RUNNABLE");
  await batch.reduce("blocks", 1, 2, "room for one");
  await groupsOf("older", (groups) => groups[0]?.status === "RUNNABLE" && groups[1]?.status === "RUNNING");
  assert.equal(await batch.reduce("older", 1, 1, "fewer"), 1);
  assert.equal((await lab.describe(old)).status, "FAILED");
  assert.equal((await lab.describe(young)).status, "RUNNING");
  await batch.terminate("older", 1, "done");
  await batch.terminate("blocks", 1, "done");
});

test("a size that Batch does not take is refused with the rule and the value", async () => {
  await assert.rejects(submit("none", 0), /workers must be a whole number from 1 to 10,000 at a time, got 0/);
  await assert.rejects(submit("many", 10_001), /got 10001/);
  await assert.rejects(submit("half", 1.5), /got 1.5/);
});

test("queues that do not exist have no workers, and other errors are not taken for that", async () => {
  const nowhere = new Batch(lab.client, ["not-deployed"], "test-");
  assert.deepEqual(await nowhere.groups("any", 1), []);
  assert.equal(await nowhere.terminate("any", 1, ""), 0);
  await assert.rejects(
    nowhere.submit({ job: "any", attempt: 1, queue: QUEUE, definition: "none", size: 1, environment: {} }),
    /JobDefinition none not found/,
  );
});

test("a reason longer than Batch takes is cut", async () => {
  const id = await submit("wordy", 1);
  await batch.terminate("wordy", 1, "w".repeat(5000));
  assert.equal((await lab.becomes(id, "FAILED")).statusReason?.length, 1024);
});

test("a cloud has Batch where its environment names job queues, at Batch's own endpoint", async () => {
  const others = { PS_BUCKET: "b", PS_UPDATES_URL: "u", PS_QUEUE_PREFIX: "test-" };
  const elsewhere = { ...access("http://127.0.0.1:9"), AWS_ENDPOINT_URL_BATCH: lab.endpoint };
  const without = connect({ ...elsewhere, ...others });
  const cloud = connect({ ...elsewhere, ...others, PS_JOB_QUEUES: `test-gpu,${QUEUE}` });
  assert.equal(without.batch, null);
  assert.deepEqual(await cloud.batch?.groups("no-such-job", 1), []);
  cloud.close();
  without.close();
});
