import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Role } from "../support/lab.ts";
import { type Point, points } from "./crash.ts";
import { inlineJob, prepareTrials, runTrial, storedJob, type Trial } from "./trials.ts";

/** Every named crash point, of a worker and of the functions, each early and late in a job: the same bytes. */

const trials = Math.max(1, Number(process.env.PS_CHAOS_TRIALS ?? 20));
let prepared: Awaited<ReturnType<typeof prepareTrials>>;

before(async () => {
  prepared = await prepareTrials();
});
after(() => prepared.lab.close());

for (const [i, trial] of plan(trials).entries()) {
  test(`the result has the same bytes when ${trial.title}`, async () => {
    assert.equal(await runTrial(prepared.lab, trial, `crash-${i}`), prepared.expected.get(trial.job));
  });
}

/** Goes round all points, each time at a later passage and with the other kind of job. */
function plan(count: number): Trial[] {
  const places = (["worker", "functions"] as const).flatMap((role) =>
    points.filter(reaches(role)).map((point) => ({ role, point })),
  );
  return Array.from({ length: count }, (_, i) => {
    const round = Math.floor(i / places.length);
    const { role = "worker", point = "after-put" } = places[i % places.length] ?? {};
    const job = (i + round) % 2 === 0 ? inlineJob : storedJob;
    const nth = 1 + (round % 5);
    const title = `${role === "worker" ? "a worker" : "the functions' process"} dies ${point} (passage ${nth}, ${job === inlineJob ? "inline" : "stored"} gradients)`;
    return { title, job, crash: { role, point, nth } };
  });
}

/** A worker removes no objects. */
function reaches(role: Role): (point: Point) => boolean {
  return (point) => role === "functions" || point !== "before-remove";
}
