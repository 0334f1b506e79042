import { setTimeout as sleep } from "node:timers/promises";
import { InvalidInput } from "../../protocol/errors.ts";
import { isInBackground } from "../runner/background.ts";
import { runOrResume } from "../runner/run-or-resume.ts";
import { watchUntilEnded } from "../runner/watch-job.ts";
import { readJobFile, STANDARD_INPUT } from "../submission/job-file.ts";
import { findOrCreateRecord, identityOf, requireSameJob } from "../submission/job-record.ts";
import { type PreparedJob, prepareJob } from "../submission/prepare-job.ts";
import { printJob } from "../submission/print-job.ts";
import { withTokenizingProgress } from "../submission/tokenizing-progress.ts";
import { withReopening } from "../targets/reopening.ts";
import type { Claim, OpenTarget, Target } from "../targets/target.ts";
import { codeOfSignal } from "../terminal/exit.ts";
import { count } from "../terminal/format.ts";
import { print } from "../terminal/print.ts";

const POLL_MS = 100;

export type SubmitOptions = {
  readonly set?: readonly string[] | undefined;
  readonly workers?: number | undefined;
  readonly detach?: boolean | undefined;
  readonly print?: boolean | undefined;
};

/** `ps-submit JOBFILE`: validates everything, then creates the job and runs it. */
export async function submit(
  target: Target,
  file: string,
  options: SubmitOptions,
  args: readonly string[],
): Promise<number> {
  if (file === STANDARD_INPUT && options.detach) {
    throw new InvalidInput("--detach takes a job file, got standard input; write the job to a file");
  }
  const workers = options.workers === undefined ? [] : [`workers=${options.workers}`];
  const loaded = readJobFile(file, [...(options.set ?? []), ...workers]);
  const { cache, environment } = target.address;
  if (options.print) return printJob(loaded, { cache, environment });
  const prepared = await withTokenizingProgress((watching) =>
    prepareJob(loaded, { ...watching, cache, environment }),
  );
  if ("signal" in prepared) return codeOfSignal(prepared.signal);
  const job = prepared.done;
  const background = options.detach ? await target.runInBackground(loaded.job.name, args) : null;
  if (background !== null) return background;
  print(introduction(job));
  return withReopening(
    () => target.open(),
    (opened) => submitTo(opened, job, options.detach ?? false),
  );
}

/** Runs the job, or watches it when another process does. */
async function submitTo(target: OpenTarget, job: PreparedJob, detach: boolean): Promise<number> {
  const { name, ranks, workers: asked } = job.spec;
  const claim = await claimUnlessRunning(target, job);
  if (claim === null) {
    if (!isInBackground()) print([`${name} is running in another process; watching it`]);
    return watchUntilEnded(target, await target.cloud.jobs.record(name));
  }
  try {
    const record = await findOrCreateRecord(target, job);
    const { workers, notes } = target.workersFor({ asked, ranks, parameters: job.parameters });
    print(notes.map((note) => `note: ${note}`));
    return await runOrResume({ target, record, claim, workers, detach });
  } finally {
    claim.release();
  }
}

/**
 * Claims a job; returns null once another process has the claim and runs the job. As long as that one is still
 * submitting, it may fail and release its claim.
 *
 * @throws InvalidInput when the other process's is a different job
 */
async function claimUnlessRunning(target: OpenTarget, job: PreparedJob): Promise<Claim | null> {
  const { name } = job.spec;
  const { jobs } = target.cloud;
  for (let polls = 0; ; polls++) {
    const claim = await target.claim(name);
    if (claim !== null) return claim;
    const record = await jobs.find(name);
    if (record) requireSameJob(record, identityOf(job), target.address);
    if (record && (await jobs.findState(name))) return null;
    if (polls === 0) print([`${name} is being submitted by another process; waiting for that`]);
    await sleep(POLL_MS);
  }
}

function introduction({ spec, dataset, notes }: PreparedJob): string[] {
  const remarks = notes.map((note) => `note: ${note}`);
  if (dataset === null || spec.data.type !== "text") return [`submitting ${spec.name}`, ...remarks];
  const { tokens, vocabulary } = dataset.meta;
  const text = `${spec.data.path}, ${count(tokens)} tokens, ${vocabulary} distinct`;
  return [`submitting ${spec.name}: ${text}`, ...remarks];
}
