import { InvalidInput } from "../../protocol/errors.ts";
import type { JobSpec } from "../../protocol/job.ts";
import type { Provenance } from "../../protocol/records.ts";
import { probeBackend } from "../backend.ts";
import { requireSame } from "../create.ts";
import { codeOfSignal } from "../exit.ts";
import { count } from "../format.ts";
import { readJobFile } from "../job-file.ts";
import { cacheOf, dataDirectory } from "../paths.ts";
import { homeOf, placeOf } from "../place.ts";
import { type Prepared, prepareJob } from "../prepare.ts";
import { makeProvenance } from "../provenance.ts";
import { findOrCreate, givenOf } from "../record.ts";
import { say } from "../say.ts";
import { takeUp, watchAlong } from "../take-up.ts";
import { type LocalTarget, openTarget } from "../target.ts";
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
  const place = placeOf();
  const prepared = await tokenizing((watching) =>
    prepareJob(draft, { ...watching, cache: cacheOf(dataDirectory()) }),
  );
  if ("signal" in prepared) return codeOfSignal(prepared.signal);
  const job = prepared.done;
  if (options.detach && place.kind !== "stack") return inBackground(homeOf(place), draft.spec.name, args);
  say(introduction(job));
  const target = await openTarget(place);
  try {
    if (target.kind !== "stack") return await submitTo(target, job);
    const { submitToStack } = await import("../stack-submission.ts");
    return await submitToStack(target, job, { detach: options.detach === true });
  } finally {
    target.close();
  }
}

async function submitTo(target: LocalTarget, job: Prepared): Promise<number> {
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
    const record = await findOrCreate(target.cloud, job, probeProvenance);
    return await takeUp({ target, record, hold, workers: spec.workers });
  } finally {
    hold.release();
  }
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
