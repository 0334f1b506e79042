import { closeJob } from "../../cloud/close.ts";
import { keys } from "../../protocol/keys.ts";
import { isEnded } from "../../protocol/records.ts";
import type { OpenTarget } from "../targets/target.ts";
import { several, short } from "../terminal/format.ts";
import { type JobUsage, readUsage } from "./job-usage.ts";
import { type Leftover, whileNobodyRuns } from "./leftover.ts";

/** @returns null for a job that may still want its gradients, or has none */
export async function leftOfGradients(
  target: OpenTarget,
  job: string,
  seen: JobUsage,
): Promise<Leftover | null> {
  const why = whyUseless(seen);
  if (why === null) return null;
  const pieces = await target.cloud.store.list(keys.gradients(job));
  if (pieces.length === 0) return null;
  const bytes = pieces.reduce((sum, { size }) => sum + size, 0);
  const many = several(pieces.length, "gradient");
  return {
    parts: [`${many} below ${keys.gradients(job)}, ${short(bytes)}B`],
    why,
    remove: () => whileNobodyRuns(target, job, () => removeGradients(target, job)),
  };
}

/** A job without a state has dispatched no task yet. */
function whyUseless({ state, recordedAt }: JobUsage): string | null {
  if (state === null) return recordedAt === null ? "there is no such job" : "the job has not begun";
  return isEnded(state) ? `the job has ended: ${state.status}` : null;
}

async function removeGradients({ cloud }: OpenTarget, job: string): Promise<boolean> {
  const prefix = keys.gradients(job);
  const before = await cloud.store.list(prefix);
  const { state } = await readUsage(cloud, job);
  if (state !== null && !isEnded(state)) return false;
  if (state !== null) await closeJob(cloud, state);
  else await cloud.store.remove(before.map(({ key }) => key));
  return (await cloud.store.list(prefix)).length === 0;
}
