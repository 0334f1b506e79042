import { LEASE_SECONDS } from "../../cloud/queues.ts";
import type { Device } from "../../cloud/worker-groups.ts";
import { InvalidInput } from "../../protocol/errors.ts";
import type { JobSpec } from "../../protocol/job.ts";
import type { Provenance, State } from "../../protocol/records.ts";
import { progressOf } from "../runner/steps.ts";
import { watchUntilEnded } from "../runner/watch-job.ts";
import { continueJob } from "../submission/attempts.ts";
import { stackProvenance } from "../submission/provenance.ts";
import { exitCodes } from "../terminal/exit.ts";
import { count } from "../terminal/format.ts";
import { print } from "../terminal/print.ts";
import { commandFor } from "./address.ts";
import { poolOf, type Stack } from "./stack-parameters.ts";
import { addWorkers, batchOf, FEWER, livingIn } from "./stack-workers.ts";
import type { Attempt, StackTarget } from "./target.ts";

/** @throws InvalidInput when the stack has no workers for the job */
export function provenanceOnStack(stack: Stack, spec: JobSpec): Provenance {
  if (spec.backend === "wasm") {
    throw new InvalidInput(`${spec.name}: backend must be "auto" or "tensorflow" on a stack, got "wasm"`);
  }
  const device = deviceOf(stack, spec);
  return stackProvenance(device, poolOf(stack, device).image);
}

/** Resolves `auto` to the GPU where the stack has one. */
function deviceOf({ workers }: Stack, { device }: JobSpec): Device {
  if (device !== "auto") return device;
  return workers !== null && workers.pools.gpu === undefined ? "cpu" : "gpu";
}

/** A stack keeps its jobs running: there is nothing to continue. */
export function continueOnStack(state: State, steps: number | undefined): State {
  if (steps !== undefined) {
    throw new InvalidInput(
      `${state.job} is running; --steps takes effect on a job that is not: cancel it first`,
    );
  }
  print([`${state.job} is running already, ${progressOf(state)}`]);
  return state;
}

/** Gives an attempt workers unless it has some, then watches the job. */
export async function runOnStack(target: StackTarget, attempt: Attempt): Promise<number> {
  await provideWorkers(target, attempt);
  const { record, detach } = attempt;
  if (!detach) return watchUntilEnded(target, record);
  const { address } = target;
  const { name } = record.spec;
  print([
    `${name} runs ${address.where}`,
    `watch it with: ${commandFor(address, `watch ${name}`)}, end it with: ${commandFor(address, `cancel ${name}`)}`,
  ]);
  return exitCodes.succeeded;
}

/** Asks Batch for an attempt's workers unless it was asked before. */
async function provideWorkers(
  target: StackTarget,
  { record, state, isNew, workers }: Attempt,
): Promise<void> {
  const batch = batchOf(target);
  const { job, attempt } = state;
  const groups = await batch.groups(job, attempt);
  if (groups.length > 0) {
    print(noteOnWorkers(target, job, { living: livingIn(groups), wanted: workers }));
    return;
  }
  // A submission that was cut short may have left the attempt without its queue or its first wake.
  if (!isNew) await continueJob(target.cloud, state, LEASE_SECONDS);
  await addWorkers(target, record, state, workers);
  // Someone may have submitted the same at the same time, and neither have seen the other's workers.
  if (livingIn(await batch.groups(job, attempt)) > workers) {
    await batch.reduce(job, attempt, workers, FEWER);
  }
}

type Workers = { readonly living: number; readonly wanted: number };

function noteOnWorkers({ address }: StackTarget, job: string, { living, wanted }: Workers): string[] {
  if (living === wanted) return [];
  if (living === 0) {
    const cancel = commandFor(address, `cancel ${job}`);
    return [`note: its workers have all ended; unless it ends within two minutes: ${cancel}`];
  }
  const resize = commandFor(address, `workers ${job} ${wanted}`);
  return [`note: it has ${count(living)} workers; to change that: ${resize}`];
}
