import type { Cloud } from "../../cloud/connect.ts";
import { InvalidInput } from "../../protocol/errors.ts";
import type { JobSpec } from "../../protocol/job.ts";
import type { JobRecord, Provenance } from "../../protocol/records.ts";
import type { Dataset } from "../../worker/data/text.ts";
import { probeBackend } from "../backend.ts";
import { createRecord, requireSame } from "../create.ts";
import { prepareDataset, uploadDataset } from "../dataset.ts";
import { codeOfSignal } from "../exit.ts";
import { count } from "../format.ts";
import { type Draft, readJobFile } from "../job-file.ts";
import { cacheOf, dataDirectory } from "../paths.ts";
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
    prepareDataset(draft, { ...watching, cache: cacheOf(dataDir) }),
  );
  if ("signal" in prepared) return codeOfSignal(prepared.signal);
  const dataset = prepared.done;
  if (options.detach) return inBackground(dataDir, draft.spec.name, args);
  say(introduction(draft, dataset));
  const target = await openTarget(dataDir);
  try {
    return await submitTo(target, draft, dataset);
  } finally {
    target.close();
  }
}

async function submitTo(target: Target, { spec }: Draft, dataset: Dataset | null): Promise<number> {
  const given = { spec, dataset: dataset?.digest ?? null };
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
    const record = await findOrCreate(target.cloud, given, dataset);
    return await takeUp({ target, record, hold, workers: spec.workers });
  } finally {
    hold.release();
  }
}

async function findOrCreate(
  cloud: Cloud,
  given: Pick<JobRecord, "spec" | "dataset">,
  dataset: Dataset | null,
): Promise<JobRecord> {
  const known = await cloud.jobs.find(given.spec.name);
  if (known) requireSame(known, given);
  // A job that another submission left half-made keeps its record; the text may still be missing.
  const record = known ?? { ...given, provenance: await probeProvenance(given.spec) };
  if (dataset) await uploadDataset(cloud.store, dataset);
  return known ?? createRecord(cloud, record);
}

async function probeProvenance({ backend }: JobSpec): Promise<Provenance> {
  const probed = await probeBackend(backend);
  if (probed.note !== undefined) say([`note: ${probed.note}`]);
  return makeProvenance(probed);
}

function introduction({ spec }: Draft, dataset: Dataset | null): string[] {
  if (dataset === null || spec.data.type !== "text") return [`submitting ${spec.name}`];
  const { tokens, vocabulary } = dataset.meta;
  return [`submitting ${spec.name}: ${spec.data.path}, ${count(tokens)} tokens, ${vocabulary} distinct`];
}
