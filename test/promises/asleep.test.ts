import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ageAwake } from "../../functions/watchdog/ages.ts";
import { pidOf } from "../local/support.ts";
import { type Lab, linearJob, openLab, waitFor } from "../support/lab.ts";

/** A laptop that slept, or whose processes were stopped: nothing was lost, and nobody was silent. */

const STALL_MS = 6_000;
const ASLEEP_MS = 10_000;
let lab: Lab;
before(async () => {
  lab = await openLab();
});
after(() => lab.close());

test("a job whose processes all slept for longer than stallMinutes goes on", async () => {
  const spec = linearJob("slept", { steps: 60, stallMinutes: STALL_MS / 60_000 });
  await lab.submit(spec);
  const {
    AWS_ENDPOINT_URL: endpoint = "",
    AWS_ACCESS_KEY_ID: id = "",
    AWS_SECRET_ACCESS_KEY: secret = "",
  } = lab.target.environment;
  const [functions, worker] = [lab.start("functions"), lab.start("worker", { job: spec.name })];
  const pids = [functions.pid, worker.pid, await pidOf(endpoint, { id, secret })].filter(
    (pid) => pid !== undefined,
  );
  const version = async () => (await lab.cloud.jobs.state(spec.name)).state.version;
  await waitFor(async () => ((await version()) ?? 0) >= 3 || null, "a few steps", 30_000);
  for (const pid of pids) process.kill(pid, "SIGSTOP");
  await sleep(ASLEEP_MS);
  for (const pid of pids) process.kill(pid, "SIGCONT");
  const state = await lab.ended(spec.name);
  assert.equal(state.status, "succeeded", state.reason ?? "");
  assert.equal(state.version, 60);
});

test("a process's own time stands still while it is stopped", async () => {
  const script = `
    import { awakeNow } from "./protocol/awake-time.ts";
    setInterval(() => console.log(JSON.stringify([performance.now(), awakeNow()])), 50);`;
  const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const times: [number, number][] = [];
  createInterface(child.stdout).on("line", (line) => times.push(JSON.parse(line)));
  const beat = (count: number) => waitFor(async () => times.length >= count || null, "the time", 20_000);
  await beat(3);
  child.kill("SIGSTOP");
  await sleep(4_000);
  child.kill("SIGCONT");
  await beat(times.length + 10);
  child.kill("SIGKILL");
  await once(child, "exit");
  const [[firstReal, firstAwake] = [0, 0], [lastReal, lastAwake] = [0, 0]] = [times[0], times.at(-1)];
  const [real, awake] = [lastReal - firstReal, lastAwake - firstAwake];
  assert.ok(real > 4_000 && awake < real - 2_500, `awake for ${awake} of ${real} ms`);
  assert.ok(
    times.every(([, time], i) => time >= (times[i - 1]?.[1] ?? 0)),
    "it never goes back",
  );
});

test("a watchdog that stays counts the time for which it saw a state, and no clock of others", () => {
  let now = 1_000;
  const ageOf = ageAwake(() => now);
  const state = { key: "jobs/j/state.json", etag: "1", ageMs: 3_600_000 };
  assert.equal(ageOf(state), 0, "it has seen nothing yet");
  now += 5_000;
  assert.equal(ageOf(state), 5_000);
  assert.equal(ageOf({ ...state, key: "jobs/k/state.json" }), 0, "each job has its own silence");
  assert.equal(ageOf({ ...state, etag: "2" }), 0, "a state that changed is news");
  now += 1_000;
  assert.equal(ageOf({ ...state, etag: "2", ageMs: 0 }), 1_000);
});
