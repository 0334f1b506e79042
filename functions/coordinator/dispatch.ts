import type { Cloud } from "../../cloud/connect.ts";
import { log } from "../../cloud/log.ts";
import type { JobSpec } from "../../protocol/job.ts";
import { keys, numberIn } from "../../protocol/keys.ts";
import type { Layout } from "../../protocol/layout.ts";
import type { Task, Update } from "../../protocol/messages.ts";
import type { State } from "../../protocol/records.ts";
import { allRanks, evaluatedUpTo, gradientTasks, isCheckpointed, isEvaluated } from "./plan.ts";

/** Dispatches what a new version asks for: the tasks of its step, its evaluation, its checkpoint. */
export async function dispatchTasks(
  cloud: Cloud,
  spec: JobSpec,
  state: State,
  version: number,
): Promise<void> {
  const { name: job } = spec;
  const dispatch = String(state.attempt);
  const tasks: Task[] = version < state.steps ? gradientTasks(job, version, allRanks(spec), dispatch) : [];
  if (isEvaluated(spec, state, version)) tasks.push({ kind: "evaluate", job, version, dispatch });
  await sendTasks(cloud, state, tasks);
  if (isCheckpointed(spec, state, version)) await sendCheckpoint(cloud, job, version, dispatch);
}

export async function dispatchInit(cloud: Cloud, state: State): Promise<void> {
  const dispatch = newDispatch(state);
  await sendTasks(cloud, state, [{ kind: "init", job: state.job, dispatch }]);
}

/**
 * Sends again what the present version still lacks, after a resume or when a step has stalled: tasks of ranks whose
 * pieces are not stored, wake-ups of aggregators that have all their pieces, evaluations, the checkpoint.
 */
export async function redispatch(
  cloud: Cloud,
  spec: JobSpec,
  layout: Layout,
  state: State,
  version: number,
): Promise<void> {
  const { name: job } = spec;
  const dispatch = newDispatch(state);
  const tasks: Task[] = [];
  if (version < state.steps) {
    const { ranks, ready } = await findMissing(cloud, spec, layout, version);
    tasks.push(...gradientTasks(job, version, ranks, dispatch));
    const wakeUps = ready.map(
      (shard): Update => ({ kind: "gradient", job, step: version, shard, rank: 0, dispatch, inline: null }),
    );
    await cloud.queues.sendUpdates(cloud.updates, wakeUps, () => `redispatch-${version}-${dispatch}`);
  }
  for (const due of await missingEvaluations(cloud, spec, state, version)) {
    tasks.push({ kind: "evaluate", job, version: due, dispatch });
  }
  await sendTasks(cloud, state, tasks);
  if (isCheckpointed(spec, state, version)) await sendCheckpoint(cloud, job, version, dispatch);
}

/** Finds the ranks whose pieces some shard still waits for, and the shards that have all pieces but no next version. */
async function findMissing(
  { store }: Cloud,
  spec: JobSpec,
  layout: Layout,
  step: number,
): Promise<{ ranks: number[]; ready: number[] }> {
  const { name: job } = spec;
  const committed = new Set(
    (await store.list(`${keys.version(job, step + 1)}shard-`)).map(({ key }) => numberIn(key)),
  );
  const ranks = new Set<number>();
  const ready: number[] = [];
  for (const shard of layout.shards.keys()) {
    if (committed.has(shard)) continue;
    const stored = new Set(
      (await store.list(keys.gradientsOfShard(job, step, shard))).map(({ key }) => numberIn(key)),
    );
    const absent = allRanks(spec).filter((rank) => !stored.has(rank));
    for (const rank of absent) ranks.add(rank);
    if (absent.length === 0) ready.push(shard);
  }
  return { ranks: [...ranks].sort((a, b) => a - b), ready };
}

/** Finds the versions up to `version` whose evaluation is due and not stored. */
export async function missingEvaluations(
  { store }: Cloud,
  spec: JobSpec,
  state: State,
  version: number,
): Promise<number[]> {
  const due = evaluatedUpTo(spec, state, version);
  if (due.length === 0) return due;
  const done = new Set((await store.list(keys.evaluations(spec.name))).map(({ key }) => numberIn(key)));
  return due.filter((v) => !done.has(v));
}

/** Returns an id that no earlier dispatch has, so that deduplication drops nothing that follows from this one. */
const newDispatch = ({ attempt }: State): string => `${attempt}-${Date.now().toString(36)}`;

async function sendTasks({ queues }: Cloud, state: State, tasks: readonly Task[]): Promise<void> {
  if (tasks.length === 0) return;
  const url = await queues.findTasks(state.job, state.attempt);
  // No queue: the job was ended a moment ago, and the message about that is on its way.
  if (url === null) return;
  await queues.sendTasks(url, tasks);
  log.debug("tasks dispatched", { tasks: tasks.length });
}

async function sendCheckpoint(cloud: Cloud, job: string, version: number, dispatch: string): Promise<void> {
  const update: Update = { kind: "checkpoint", job, version };
  await cloud.queues.sendUpdates(cloud.updates, [update], () => `${version}-${dispatch}`);
}
