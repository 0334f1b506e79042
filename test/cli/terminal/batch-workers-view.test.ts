import assert from "node:assert/strict";
import { test } from "node:test";
import { FEWER } from "../../../cli/targets/stack-workers.ts";
import { BatchWorkersView } from "../../../cli/terminal/batch-workers-view.ts";
import {
  type Member,
  type WorkerGroup,
  type WorkerStatus,
  workerStatuses,
} from "../../../cloud/worker-groups.ts";
import type { State } from "../../../protocol/records.ts";

const now = "2026-01-01T00:00:00.000Z";
const state: State = {
  ...{ job: "tiny", status: "running", reason: null, version: 1, steps: 9, attempt: 1, loss: null },
  ...{ evaluation: null, checkpoint: null, createdAt: now, updatedAt: now, endedAt: null },
};

function member(index: number, status: WorkerStatus, changes: Partial<Member> = {}): Member {
  const id = `group:${index}`;
  return { id, index, status, reason: null, exitCode: null, logStream: null, attempts: 0, ...changes };
}

function groupOf(members: readonly Member[]): WorkerGroup {
  const count = (status: WorkerStatus) => members.filter((one) => one.status === status).length;
  const counts = Object.fromEntries(workerStatuses.map((status) => [status, count(status)]));
  return {
    ...{ id: "group", name: "ps-tiny-workers-1", size: members.length, status: "PENDING", reason: null },
    ...{ counts: counts as WorkerGroup["counts"], createdAt: new Date(now) },
  };
}

/** The view of these members, and what it reported. */
function viewOf(members: readonly Member[], trouble: string | null = null, words = ["last words of"]) {
  const reported: string[] = [];
  const view = new BatchWorkersView({
    batch: { groups: async () => [groupOf(members)], members: async () => [...members] },
    trouble: async () => trouble,
    tail: async (stream) => words.map((said) => `${said} ${stream}`),
    command: (words) => `npx ps-submit ${words}`,
  });
  const poll = (at: number) => view.poll(state, (event) => reported.push(event), at);
  return { view, reported, poll };
}

const waiting = member(2, "RUNNABLE", { reason: "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY" });

test("the workers that do not run yet are counted by what they do, with the reason that Batch gives", async () => {
  const { view, poll } = viewOf([member(0, "RUNNING"), member(1, "STARTING"), waiting]);
  await poll(0);
  assert.deepEqual(view.seen, {
    alive: 1,
    wanted: 3,
    others: "1 starting, 1 queued: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
  });
});

test("what is wrong with the job queue is a better reason than that of a worker", async () => {
  const { view, poll } = viewOf([waiting], "job queue ps-gpu is disabled");
  await poll(0);
  assert.equal(view.seen?.others, "1 queued: job queue ps-gpu is disabled");
});

test("a worker that failed for good is reported of once, with its reason, exit code and last words", async () => {
  const failed = {
    reason: "Essential container in task exited",
    exitCode: 137,
    logStream: "worker/1",
    attempts: 3,
  };
  const { reported, view, poll } = viewOf([
    member(0, "RUNNING"),
    member(1, "FAILED", failed),
    member(2, "FAILED", { reason: FEWER }),
  ]);
  await poll(0);
  await poll(10_000);
  assert.deepEqual(reported, [
    "worker 1 failed for good after 3 attempts: Essential container in task exited, exit code 137; its log worker/1 ends with:",
    "    last words of worker/1",
  ]);
  assert.deepEqual(
    view.seen,
    { alive: 1, wanted: 1, others: "1 failed" },
    "one that its user wanted no longer",
  );
});

test("a worker that failed without a word is reported of without promising any", async () => {
  const failed = member(0, "FAILED", { reason: "gone", logStream: "worker/0" });
  const { reported, poll } = viewOf([failed], null, []);
  await poll(0);
  assert.deepEqual(reported, ["worker 0 failed for good: gone; its log worker/0 is empty"]);
});

test("of many failures the first are reported one by one", async () => {
  const { reported, poll } = viewOf(
    Array.from({ length: 10 }, (_, i) => member(i, "FAILED", { reason: "gone" })),
  );
  await poll(0);
  assert.equal(reported.length, 4);
  assert.match(reported[3] ?? "", /^7 more workers failed for good; see them with: npx ps-submit logs tiny/);
});

test("that no worker has started is reported every ten minutes, with the reason, and not before", async () => {
  const { reported, poll } = viewOf([waiting]);
  for (let at = 0; at < 600_000; at += 30_000) await poll(at);
  assert.deepEqual(reported, []);
  await poll(600_000);
  assert.match(reported[0] ?? "", /^no worker has started for 10 minutes: CAPACITY/);
  assert.match(reported[1] ?? "", /tiny keeps waiting, at no cost; end it with: npx ps-submit cancel tiny/);
  await poll(630_000);
  assert.equal(reported.length, 2);
  await poll(1_200_000);
  assert.equal(reported.length, 4);
});

test("a Batch that does not answer is reported of once, and the job is watched on", async () => {
  const reported: string[] = [];
  const refuse = () => Promise.reject(new Error("no permission"));
  const view = new BatchWorkersView({
    ...{ batch: { groups: refuse, members: refuse }, trouble: refuse, tail: refuse, command: String },
  });
  for (const at of [0, 10_000, 20_000]) await view.poll(state, (event) => reported.push(event), at);
  assert.deepEqual(reported, ["AWS Batch could not be asked about the workers: Error: no permission"]);
});
