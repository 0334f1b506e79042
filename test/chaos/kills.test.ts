import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { sha256 } from "../../protocol/digest.ts";
import { inlineJob, prepareTrials, runTrial, storedJob, type Trial } from "./trials.ts";

/** Kill -9 at random moments of a worker, the functions' process and the emulator: the same bytes. */

const trials = Math.max(1, Number(process.env.PS_CHAOS_TRIALS ?? 15));
const seed = Number(process.env.PS_CHAOS_SEED ?? 1);
let prepared: Awaited<ReturnType<typeof prepareTrials>>;

before(async () => {
  prepared = await prepareTrials();
});
after(() => prepared.lab.close());

for (let i = 0; i < trials; i++) {
  const trial = randomTrial(seed * 10_000 + i);
  test(`the result has the same bytes when ${trial.title}`, async () => {
    assert.equal(await runTrial(prepared.lab, trial, `kill-${i}`), prepared.expected.get(trial.job));
  });
}

function randomTrial(seed: number): Trial {
  const victims = ["worker", "functions", "emulator"] as const;
  const kills = Array.from({ length: 1 + Math.floor(random(seed, "kills") * 4) }, (_, i) => ({
    victim: victims[Math.floor(random(seed, `victim ${i}`) * 3)] ?? "worker",
    afterMs: Math.floor(50 + random(seed, `pause ${i}`) * 600),
  }));
  const title = kills.map(({ victim, afterMs }) => `${victim} is killed after ${afterMs} ms`).join(", then ");
  return { title: `the ${title}`, job: seed % 3 === 2 ? storedJob : inlineJob, kills };
}

/** In [0, 1): a trial's plan is known by its seed. */
function random(seed: number, what: string): number {
  return Number.parseInt(sha256(`${seed} ${what}`).slice(0, 8), 16) / 2 ** 32;
}
