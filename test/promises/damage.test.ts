import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { resumeJob } from "../../cli/submission/attempts.ts";
import { goBack } from "../../cli/submission/go-back.ts";
import { connect } from "../../cloud/connect.ts";
import { DamagedObject } from "../../cloud/damage.ts";
import { reasonOf } from "../../cloud/versions.ts";
import type { JobSpec } from "../../protocol/job.ts";
import { keys } from "../../protocol/keys.ts";
import type { State } from "../../protocol/records.ts";
import { inlineJob, storedJob } from "../chaos/jobs.ts";
import { openTrials, undisturbed } from "../chaos/short-leases.ts";
import { type Fault, type FaultProxy, faultProxy } from "../support/fault-proxy.ts";
import { kill, type Lab, linearJob, waitFor } from "../support/lab.ts";

/** Bytes that were damaged on their way change nothing; bytes that are damaged where they lie are named, and the job can go back. */

/** 30 steps whose shards are files of the emulator, and with pieces in messages. */
const longJob = (name: string): JobSpec =>
  linearJob(name, {
    model: { type: "linear", inputs: 64, outputs: 256 },
    steps: 30,
    evaluateEvery: 10,
    checkpointEvery: 10,
  });

const SHARES: Partial<Record<Fault, number>> = {
  damageAnswer: 0.03,
  damageRequest: 0.03,
  shortenAnswer: 0.01,
  shortenRequest: 0.01,
};

let lab: Lab;
const expected = new Map<unknown, string>();
before(async () => {
  lab = await openTrials();
  for (const job of [longJob, storedJob, inlineJob])
    expected.set(job, await undisturbed(lab, job(`calm-${job.name.toLowerCase()}`)));
});
after(() => lab.close());

async function run(job: string, proxy?: FaultProxy, deadlineMs?: number): Promise<State> {
  const env = proxy ? { AWS_ENDPOINT_URL: proxy.endpoint } : {};
  const processes = [
    lab.start("functions", { job, name: `${job}-functions`, env }),
    ...[0, 1].map((i) => lab.start("worker", { job, name: `${job}-worker-${i}`, env })),
  ];
  try {
    const state = await lab.ended(job, deadlineMs);
    await closed(job);
    return state;
  } finally {
    await Promise.all(processes.map(kill));
  }
}

const closed = (job: string) =>
  waitFor(
    async () => ((await lab.cloud.store.list(`${keys.actives}${job}/`)).length === 0 ? true : null),
    `${job} to be closed`,
    30_000,
  );

for (const [i, job] of [longJob, storedJob].entries()) {
  test(`a job of which 3 % of all bodies are damaged and 1 % shortened, both ways, ends with the same bytes (${job.name})`, async () => {
    const target = lab.target.environment.AWS_ENDPOINT_URL ?? "";
    const proxy = await faultProxy(target, { seed: i, shares: SHARES });
    const spec = job(`damaged-${i}`);
    await lab.submit(spec);
    const state = await run(spec.name, proxy, 240_000);
    await proxy.close();
    assert.equal(state.status, "succeeded", state.reason ?? "");
    assert.equal(await lab.digest(spec.name, spec.steps), expected.get(job));
    for (const fault of Object.keys(SHARES) as Fault[])
      assert.ok(proxy.counts.get(fault), `${fault} was done`);
  });
}

test("what comes damaged every time in another way is an outage, not a damaged object", async () => {
  const proxy = await faultProxy(lab.target.environment.AWS_ENDPOINT_URL ?? "", {
    seed: 3,
    shares: { damageAnswer: 1 },
  });
  const cloud = connect({ ...lab.target.environment, AWS_ENDPOINT_URL: proxy.endpoint });
  const key = keys.shard("calm-longjob", 30, 0);
  await assert.rejects(cloud.store.get(key), { retryable: true, message: /damaged|CRC32/ });
  cloud.close();
  await proxy.close();
});

/** Damages an object where it lies. */
async function spoil(key: string): Promise<void> {
  const stored = await lab.cloud.store.get(key);
  assert.ok(stored);
  const place = stored.body.length - 100;
  await lab.cloud.store.replace(key, stored.body.with(place, (stored.body[place] ?? 0) ^ 1), stored.etag);
}

/** Runs a job until a version, and stops it there. */
async function until(spec: JobSpec, version: number): Promise<State> {
  await lab.submit({ ...spec, steps: version });
  const state = await run(spec.name);
  assert.equal(state.status, "succeeded", state.reason ?? "");
  return state;
}

test("a shard that is damaged where it lies is named with key, digests and way on; the job goes back and ends with the same bytes", async () => {
  const spec = inlineJob("spoiled");
  const state = await until(spec, 9);
  const key = keys.shard(spec.name, 9, 1);
  await spoil(key);
  await resumeJob(lab.cloud, state, spec.steps);
  const failed = await run(spec.name);
  assert.equal(failed.status, "failed");
  const sha = "[0-9a-f]{64}";
  assert.match(
    failed.reason ?? "",
    new RegExp(
      `of version 9.* is corrupt: its SHA-256 must be ${sha}, it is ${sha} \\(${key}, read 4 times\\); ` +
        "version 8 is there; go on from it with: ps-submit resume spoiled --from 8",
    ),
  );
  await assert.rejects(goBack(lab.cloud, spec.name, 9), /read 4 times\); version 8 is there; .* --from 8$/);
  const back = await goBack(lab.cloud, spec.name, 8);
  assert.equal(back.version, 8);
  assert.deepEqual(
    await lab.cloud.store.listFolders(keys.versions(spec.name)).then((all) => all.at(-1)),
    keys.version(spec.name, 8),
  );
  await resumeJob(lab.cloud, back, spec.steps);
  const last = await run(spec.name);
  assert.equal(last.status, "succeeded", last.reason ?? "");
  assert.equal(await lab.digest(spec.name, spec.steps), expected.get(inlineJob));
});

test("a state that names a version which is not there ends the job with both files and the way on", async () => {
  const spec = inlineJob("ahead");
  const state = await until(spec, 7);
  await lab.cloud.store.removeAll(keys.version(spec.name, 7));
  await resumeJob(lab.cloud, state, spec.steps);
  const failed = await run(spec.name);
  assert.equal(failed.status, "failed");
  assert.match(
    failed.reason ?? "",
    /jobs\/ahead\/state\.json says that ahead is at version 7, but jobs\/ahead\/versions\/000000007\/\S+ is not there; version 6 is there; go on from it with: ps-submit resume ahead --from 6/,
  );
  await resumeJob(lab.cloud, await goBack(lab.cloud, spec.name, 6), spec.steps);
  const last = await run(spec.name);
  assert.equal(last.status, "succeeded", last.reason ?? "");
  assert.equal(await lab.digest(spec.name, spec.steps), expected.get(inlineJob));
});

test("a damaged gradient is computed anew from its own version", async () => {
  const error = new DamagedObject(keys.gradient("calm-longjob", 30, 0, 1), "it is corrupt");
  assert.match(await reasonOf(lab.cloud, error), /^it is corrupt; version 30 is there; .* --from 30$/);
});

test("a job goes back only when it has ended, and to a version that it has", async () => {
  const spec = inlineJob("running");
  await lab.submit(spec);
  await assert.rejects(
    goBack(lab.cloud, spec.name, 0),
    /running is starting; --from takes a job that has ended/,
  );
  await lab.cloud.jobs.end(spec.name, "stopped", "by a test");
  await assert.rejects(
    goBack(lab.cloud, "calm-longjob", 5),
    /calm-longjob has no version 5; it has 10, 20, 29, 30/,
  );
});
