import { LEASE_SECONDS } from "../../cloud/queues.ts";
import type { Device } from "../../cloud/worker-groups.ts";
import { InvalidInput } from "../../protocol/errors.ts";
import type { JobSpec } from "../../protocol/job.ts";
import { isEnded, type JobRecord, type State } from "../../protocol/records.ts";
import type { ResumeOptions } from "../commands/resume.ts";
import { notesOn, requireMoreSteps, watchAlong } from "../runner/run-to-end.ts";
import { beginJob, continueJob, resumeJob } from "../submission/create.ts";
import type { PreparedJob } from "../submission/prepare-job.ts";
import { stackProvenance } from "../submission/provenance.ts";
import { findOrCreate } from "../submission/record.ts";
import { exitCodes } from "../terminal/exit.ts";
import { count } from "../terminal/format.ts";
import { outcomeLines } from "../terminal/outcome.ts";
import { say } from "../terminal/print.ts";
import { command } from "./address.ts";
import { poolOf, type Stack } from "./stack-parameters.ts";
import { addWorkers, batchOf, FEWER, livingIn } from "./stack-workers.ts";
import type { StackTarget } from "./target.ts";

type TakeUp = {
  readonly workers: number;
  readonly steps?: number | undefined;
  readonly detach?: boolean | undefined;
};

/** Creates a job on a stack and gives it workers, or completes a submission that was cut short; then watches. */
export async function submitToStack(
  target: StackTarget,
  job: PreparedJob,
  { detach }: { readonly detach: boolean },
): Promise<number> {
  const { spec } = job;
  if (spec.backend === "wasm") {
    throw new InvalidInput(`${spec.name}: backend must be "auto" or "tensorflow" on a stack, got "wasm"`);
  }
  const device = deviceOf(target.stack, spec);
  const { image } = poolOf(target.stack, device);
  const record = await findOrCreate(target.cloud, job, () => stackProvenance(device, image));
  return takeUp(target, record, { workers: spec.workers, detach });
}

/** `ps-submit resume` on a stack: a new attempt with workers of its own. */
export async function resumeOnStack(
  target: StackTarget,
  job: string,
  { steps, workers, detach }: ResumeOptions,
): Promise<number> {
  const record = await target.cloud.jobs.record(job);
  const { state } = await target.cloud.jobs.state(job);
  if (!isEnded(state) && steps !== undefined) {
    throw new InvalidInput(`${job} is running; --steps takes effect on a job that is not: cancel it first`);
  }
  return takeUp(target, record, { workers: workers ?? record.spec.workers, steps, detach });
}

/** `auto` is the GPU where the stack has one. */
function deviceOf({ workers }: Stack, { device }: JobSpec): Device {
  if (device !== "auto") return device;
  return workers !== null && workers.pools.gpu === undefined ? "cpu" : "gpu";
}

async function takeUp(target: StackTarget, record: JobRecord, { workers, steps, detach }: TakeUp) {
  const { name } = record.spec;
  const found = await target.cloud.jobs.findState(name);
  if (found?.state.status === "succeeded" && (steps ?? 0) <= found.state.steps) {
    say(outcomeLines(found.state));
    return exitCodes.succeeded;
  }
  noteOtherImage(target.stack, record);
  if (steps !== undefined) say(notesOn(record.spec, steps));
  const { state, isNew } = await openJob(target, record, found?.state ?? null, steps);
  await provideWorkers(target, record, state, { size: workers, isNew });
  if (!detach) return watchAlong(target, record);
  say([
    `${name} runs on stack ${target.stack.name}`,
    `watch it with: ${command(`watch ${name}`)}, end it with: ${command(`cancel ${name}`)}`,
  ]);
  return exitCodes.succeeded;
}

/** @returns the attempt to work on, and whether it was opened just now */
async function openJob(
  { cloud }: StackTarget,
  record: JobRecord,
  state: State | null,
  steps: number | undefined,
): Promise<{ state: State; isNew: boolean }> {
  if (state === null) return { state: await beginJob(cloud, record, LEASE_SECONDS), isNew: true };
  const { job, status, version } = state;
  const at = `at step ${count(version ?? 0)} of ${count(state.steps)}`;
  if (!isEnded(state)) {
    say([`${job} is running already, ${at}`]);
    return { state, isNew: false };
  }
  const wanted = steps ?? state.steps;
  requireMoreSteps(state, wanted);
  say([`${job} ${status === "succeeded" ? "ended" : `was ${status}`} ${at}; going on`]);
  return { state: await resumeJob(cloud, state, wanted, LEASE_SECONDS), isNew: true };
}

/** Asks Batch for an attempt's workers unless it was asked before. */
async function provideWorkers(
  target: StackTarget,
  record: JobRecord,
  state: State,
  { size, isNew }: { readonly size: number; readonly isNew: boolean },
): Promise<void> {
  const batch = batchOf(target);
  const { job, attempt } = state;
  const known = await batch.groups(job, attempt);
  if (known.length > 0) {
    const there = livingIn(known);
    if (there === 0) {
      say([
        `note: its workers have all ended; unless it ends within two minutes: ${command(`cancel ${job}`)}`,
      ]);
    } else if (there !== size) {
      say([`note: it has ${count(there)} workers; to change that: ${command(`workers ${job} ${size}`)}`]);
    }
    return;
  }
  // A submission that was cut short may have left the attempt without its queue or its first wake.
  if (!isNew) await continueJob(target.cloud, state, LEASE_SECONDS);
  await addWorkers(target, record, state, size);
  // Someone may have submitted the same at the same time, and neither have seen the other's workers.
  if (livingIn(await batch.groups(job, attempt)) > size) await batch.reduce(job, attempt, size, FEWER);
}

/** Another library may round differently in the last bit. */
function noteOtherImage(stack: Stack, { provenance: { device, library } }: JobRecord): void {
  const image = stack.workers?.pools[device]?.image;
  if (image === undefined || image === library) return;
  say([
    `note: the workers' image has changed since the job began, from ${library} to ${image}; the result may differ in its last bits`,
  ]);
}
