import { closeJob } from "../../cloud/close.ts";
import type { Cloud } from "../../cloud/connect.ts";
import type { Stated } from "../../cloud/jobs.ts";
import type { JobSpec } from "../../protocol/job.ts";
import { isEnded, type State } from "../../protocol/records.ts";
import type { ShardHeader } from "../../protocol/shard.ts";
import { collectGarbage } from "./collect-garbage.ts";
import { commitVersion, readHeaders } from "./commit.ts";
import { dispatchInit, dispatchTasks, missingEvaluations, redispatch } from "./dispatch.ts";
import { readResults } from "./results.ts";

/**
 * The coordinator of one job, whatever woke it. When every shard has the next version: write its manifest, once;
 * dispatch the tasks of its step, or end the job.
 *
 * @param again send again the tasks whose results the present step still lacks
 */
export async function coordinate(cloud: Cloud, job: string, again: boolean): Promise<void> {
  const [{ spec }, layout, stated] = await Promise.all([
    cloud.jobs.record(job),
    cloud.jobs.layout(job),
    cloud.jobs.state(job),
  ]);
  const { state } = stated;
  if (isEnded(state)) return closeJob(cloud, state);

  const next = state.version === null ? 0 : state.version + 1;
  const headers = layout && next <= state.steps ? await readHeaders(cloud, job, next, layout) : null;
  if (headers) {
    const after = await advance(cloud, spec, stated, next, headers);
    await collectGarbage(cloud, spec, after);
    return;
  }
  const isLacking = again || state.status === "starting";
  if (!layout || state.version === null) {
    if (isLacking) await dispatchInit(cloud, state);
    return;
  }
  if (isLacking) await redispatch(cloud, spec, layout, state, state.version);
  await review(cloud, spec, stated);
}

/**
 * Makes version `next` exist. The order makes any crash harmless: manifest, then tasks, then `state.version`. So a
 * state that names a version means that its tasks are dispatched; a coordinator that died before it could write
 * that does it all again.
 */
async function advance(
  cloud: Cloud,
  spec: JobSpec,
  stated: Stated,
  next: number,
  headers: readonly ShardHeader[],
): Promise<State> {
  const { loss } = await commitVersion(cloud, spec, next, headers);
  await dispatchTasks(cloud, spec, stated.state, next);
  return settle(cloud, stated, (state) => {
    const status = next === state.steps ? "finishing" : "running";
    return { ...state, status, version: next, loss };
  });
}

/** Records evaluations and checkpoints that came in, and ends the job when its last version has both. */
async function review(cloud: Cloud, spec: JobSpec, stated: Stated): Promise<void> {
  const { steps, version } = stated.state;
  // Before the results are read: an evaluation that came in between would end the job without being shown.
  const awaited = version === steps ? await missingEvaluations(cloud, spec, stated.state, steps) : [];
  const results = await readResults(cloud, spec.name);
  if (version !== steps) {
    await settle(cloud, stated, (state) => changed({ ...state, ...results, status: "running" }, state));
    return;
  }
  const complete = results.checkpoint?.version === steps && awaited.length === 0;
  const end = complete
    ? ({ status: "succeeded", endedAt: new Date().toISOString() } as const)
    : ({ status: "finishing" } as const);
  const state = await settle(cloud, stated, (state) => changed({ ...state, ...results, ...end }, state));
  if (isEnded(state)) await closeJob(cloud, state);
}

/** Changes the state unless the job was ended or resumed since `stated` was read: then the change comes too late. */
function settle(cloud: Cloud, stated: Stated, change: (state: State) => State | null): Promise<State> {
  const { job, attempt } = stated.state;
  const current = (state: State) => !isEnded(state) && state.attempt === attempt;
  return cloud.jobs.change(job, (state) => (current(state) ? change(state) : null), stated);
}

const changed = (next: State, state: State): State | null =>
  JSON.stringify(next) === JSON.stringify(state) ? null : next;
