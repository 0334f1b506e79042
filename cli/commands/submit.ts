import type { Cloud } from "../../cloud/connect.ts";
import { InvalidInput } from "../../protocol/errors.ts";
import type { JobSpec } from "../../protocol/job.ts";
import type { JobRecord, Provenance } from "../../protocol/records.ts";
import { probeBackend } from "../backend.ts";
import { createRecord, requireSame } from "../create.ts";
import { codeOfSignal } from "../exit.ts";
import { count } from "../format.ts";
import { readJobFile } from "../job-file.ts";
import { cacheOf, dataDirectory } from "../paths.ts";
import { type Prepared, prepareJob, uploadPrepared } from "../prepare.ts";
import { makeProvenance } from "../provenance.ts";
import { say } from "../say.ts";
import { takeUp, watchAlong } from "../take-up.ts";
import { openTarget, type Target } from "../target.ts";
import { tokenizing } from "../tokenizing.ts";
import { inBackground } from "./background.ts";

export type SubmitOptions = {
  readonly set?: readonly string[] | undefined;
  readonly workers?: number | undefined;
  readonly detach?: boolean | undefined;
};

/** `ps-submit JOBFILE`: validates everything, then creates the job and runs it. */
export async function submit(file: string, options: SubmitOptions, args: readonly string[]): Promise<number> {
  const workers = options.workers === undefined ? [] : [`workers=${options.workers}`];
  const draft = readJobFile(file, [...(options.set ?? []), ...workers]);
  const dataDir = dataDirectory();
  const prepared = await tokenizing((watching) =>
    prepareJob(draft, { ...watching, cache: cacheOf(dataDir) }),
  );
  if ("signal" in prepared) return codeOfSignal(prepared.signal);
  const job = prepared.done;
  if (options.detach) return inBackground(dataDir, draft.spec.name, args);
  say(introduction(job));
  const target = await openTarget(dataDir);
  try {
    return await submitTo(target, job);
  } finally {
    target.close();
  }
}

async function submitTo(target: Target, job: Prepared): Promise<number> {
  const { spec } = job;
  const given = givenOf(job);
  const hold = await target.claim(spec.name);
  if (hold === null) {
    const record = await target.cloud.jobs.find(spec.name);
    if (record === null)
      throw new InvalidInput(`${spec.name} is being submitted by another process right now`);
    requireSame(record, given);
    say([`${spec.name} is running in another process; watching it`]);
    return watchAlong(target, record);
  }
  try {
    const record = await findOrCreate(target.cloud, job);
    return await takeUp({ target, record, hold, workers: spec.workers });
  } finally {
    hold.release();
  }
}

const givenOf = ({ spec, dataset }: Prepared): Pick<JobRecord, "spec" | "dataset"> => ({
  spec,
  dataset: dataset?.digest ?? null,
});

async function findOrCreate(cloud: Cloud, job: Prepared): Promise<JobRecord> {
  const given = givenOf(job);
  const known = await cloud.jobs.find(given.spec.name);
  if (known) requireSame(known, given);
  // A job that another submission left half-made keeps its record; the text may still be missing.
  const record = known ?? { ...given, provenance: await probeProvenance(given.spec) };
  await uploadPrepared(cloud, job);
  return known ?? createRecord(cloud, record);
}

async function probeProvenance({ backend, device }: JobSpec): Promise<Provenance> {
  const probed = await probeBackend(backend, device);
  if (probed.note !== undefined) say([`note: ${probed.note}`]);
  return makeProvenance(probed);
}

function introduction({ spec, dataset, notes }: Prepared): string[] {
  const remarks = notes.map((note) => `note: ${note}`);
  if (dataset === null || spec.data.type !== "text") return [`submitting ${spec.name}`, ...remarks];
  const { tokens, vocabulary } = dataset.meta;
  const text = `${spec.data.path}, ${count(tokens)} tokens, ${vocabulary} distinct`;
  return [`submitting ${spec.name}: ${text}`, ...remarks];
}
