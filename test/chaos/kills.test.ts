import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Lab } from "../support/lab.ts";
import { inlineJob, openTrials, runTrial, storedJob, type Trial, undisturbed } from "./trials.ts";

/** Kill -9 at random moments of a worker, the functions' process and the emulator: the same bytes. */

const trials = Math.max(1, Number(process.env.PS_CHAOS_TRIALS ?? 15));
const seed = Number(process.env.PS_CHAOS_SEED ?? 1);
let lab: Lab;
const expected = new Map<Trial["job"], string>();

before(async () => {
  lab = await openTrials();
  expected.set(inlineJob, await undisturbed(lab, inlineJob("inline-undisturbed")));
  expected.set(storedJob, await undisturbed(lab, storedJob("stored-undisturbed")));
});
after(() => lab.close());

for (let i = 0; i < trials; i++) {
  const trial = randomTrial(seed * 10_000 + i);
  test(`the result has the same bytes when ${trial.title}`, async () => {
    assert.equal(await runTrial(lab, trial, `kill-${i}`), expected.get(trial.job));
  });
}

function randomTrial(seed: number): Trial {
  const random = generator(seed);
  const victims = ["worker", "functions", "emulator"] as const;
  const kills = Array.from({ length: 1 + Math.floor(random() * 3) }, () => ({
    victim: victims[Math.floor(random() * 3)] ?? "worker",
    afterMs: Math.floor(100 + random() * 900),
  }));
  const title = kills
    .map(({ victim, afterMs }) => `the ${victim} is killed after ${afterMs} ms`)
    .join(", then ");
  return { title, job: seed % 3 === 2 ? storedJob : inlineJob, kills };
}

/** A small linear congruential generator (Numerical Recipes' constants): a trial is known by its seed. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
