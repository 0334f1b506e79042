import { setTimeout as sleep } from "node:timers/promises";
import type { JobSpec } from "../../protocol/job.ts";
import type { Provenance } from "../../protocol/records.ts";
import { cacheDirectory } from "../../scripts/cache-directory.mjs";
import { inBackground } from "../runner/background.ts";
import { isDetached } from "../runner/detach.ts";
import { takeUp, watchAlong } from "../runner/run-to-end.ts";
import { probeBackend } from "../submission/backend.ts";
import { requireSame } from "../submission/create.ts";
import { readJobFile } from "../submission/job-file.ts";
import { type PreparedJob, prepareJob } from "../submission/prepare-job.ts";
import { printJob } from "../submission/print-job.ts";
import { makeProvenance } from "../submission/provenance.ts";
import { findOrCreate, givenOf } from "../submission/record.ts";
import { withTokenizingProgress } from "../submission/tokenizing-progress.ts";
import { homeOf, placeOf } from "../targets/address.ts";
import { type Claim, type LocalTarget, openTarget } from "../targets/target.ts";
import { codeOfSignal } from "../terminal/exit.ts";
import { count } from "../terminal/format.ts";
import { say } from "../terminal/print.ts";

const LOOK_MS = 100;

export type SubmitOptions = {
  readonly set?: readonly string[] | undefined;
  readonly workers?: number | undefined;
  readonly detach?: boolean | undefined;
  readonly print?: boolean | undefined;
};

/** `ps-submit JOBFILE`: validates everything, then creates the job and runs it. */
export async function submit(file: string, options: SubmitOptions, args: readonly string[]): Promise<number> {
  const workers = options.workers === undefined ? [] : [`workers=${options.workers}`];
  const loaded = readJobFile(file, [...(options.set ?? []), ...workers]);
  const cache = cacheDirectory();
  if (options.print) return printJob(loaded, cache);
  const place = placeOf();
  const prepared = await withTokenizingProgress((watching) => prepareJob(loaded, { ...watching, cache }));
  if ("signal" in prepared) return codeOfSignal(prepared.signal);
  const job = prepared.done;
  if (options.detach && place.kind !== "stack") return inBackground(homeOf(place), loaded.job.name, args);
  say(introduction(job));
  const target = await openTarget(place);
  try {
    if (target.kind !== "stack") return await submitTo(target, job);
    const { submitToStack } = await import("../targets/stack-submission.ts");
    return await submitToStack(target, job, { detach: options.detach === true });
  } finally {
    target.close();
  }
}

/** Runs the job, or watches it when another process does. */
async function submitTo(target: LocalTarget, job: PreparedJob): Promise<number> {
  const { name, workers } = job.spec;
  const hold = await claimOrFollow(target, job);
  if (hold === null) {
    if (!isDetached()) say([`${name} is running in another process; watching it`]);
    return watchAlong(target, await target.cloud.jobs.record(name));
  }
  try {
    const record = await findOrCreate(target.cloud, job, probeProvenance);
    return await takeUp({ target, record, hold, workers });
  } finally {
    hold.release();
  }
}

/**
 * The claim on a job; null once another process that has it runs the job. While that one is still submitting, it may
 * give up yet.
 *
 * @throws InvalidInput when the other process's is a different job
 */
async function claimOrFollow(target: LocalTarget, job: PreparedJob): Promise<Claim | null> {
  const { name } = job.spec;
  const { jobs } = target.cloud;
  for (let looks = 0; ; looks++) {
    const hold = await target.claim(name);
    if (hold !== null) return hold;
    const record = await jobs.find(name);
    if (record) requireSame(record, givenOf(job));
    if (record && (await jobs.findState(name))) return null;
    if (looks === 0) say([`${name} is being submitted by another process; waiting for that`]);
    await sleep(LOOK_MS);
  }
}

async function probeProvenance({ backend, device }: JobSpec): Promise<Provenance> {
  const probed = await probeBackend(backend, device);
  if (probed.note !== undefined) say([`note: ${probed.note}`]);
  return makeProvenance(probed);
}

function introduction({ spec, dataset, notes }: PreparedJob): string[] {
  const remarks = notes.map((note) => `note: ${note}`);
  if (dataset === null || spec.data.type !== "text") return [`submitting ${spec.name}`, ...remarks];
  const { tokens, vocabulary } = dataset.meta;
  const text = `${spec.data.path}, ${count(tokens)} tokens, ${vocabulary} distinct`;
  return [`submitting ${spec.name}: ${text}`, ...remarks];
}
