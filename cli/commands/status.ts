import { isEnded, type JobRecord, type Manifest, type State } from "../../protocol/records.ts";
import { fingerprint } from "../models/fingerprint.ts";
import type { TargetAddress } from "../targets/address.ts";
import { openExisting } from "../targets/locate.ts";
import type { Target } from "../targets/target.ts";
import { exitCodes } from "../terminal/exit.ts";
import { count, duration, loss, milliseconds, short } from "../terminal/format.ts";
import { outcomeLines } from "../terminal/outcome.ts";
import { print } from "../terminal/print.ts";
import type { WorkersSeen } from "../terminal/progress.ts";
import { ratesOf } from "../terminal/progress.ts";
import { describeBackend, describeWorkers, modelLabel, unitOf } from "../terminal/render.ts";

/** `ps-submit status JOB`: prints the state of a job for people or, with `--json`, for scripts. */
export async function status(
  target: Target,
  job: string,
  options: { readonly json?: boolean | undefined },
): Promise<number> {
  const opened = await openExisting(target);
  try {
    const { cloud } = opened;
    const record = await cloud.jobs.record(job);
    const active = (await opened.running()).has(job);
    if (options.json) {
      const { state, sha256 } = await fingerprint(cloud, job);
      const layout = await cloud.jobs.layout(job);
      const found = { active, sha256, parameters: layout?.parameters ?? null };
      const workers = (await opened.countWorkers(state))?.byStatus;
      const report = { ...jsonReport(record, state, found), ...(workers && { workers }) };
      print([JSON.stringify(report)]);
      return exitCodes.succeeded;
    }
    const { state } = await cloud.jobs.state(job);
    const [layout, manifest] = await Promise.all([
      cloud.jobs.layout(job),
      state.version === null ? null : cloud.jobs.manifest(job, state.version),
    ]);
    const workers = isEnded(state) ? null : ((await opened.countWorkers(state))?.seen ?? null);
    const { address } = target;
    print(
      humanReport({
        address,
        record,
        state,
        active,
        manifest,
        parameters: layout?.parameters ?? null,
        workers,
      }),
    );
    return exitCodes.succeeded;
  } finally {
    opened.close();
  }
}

type Found = { readonly active: boolean; readonly sha256: string | null; readonly parameters: number | null };

/** Returns one object whose fields scripts can rely on. */
function jsonReport({ provenance }: JobRecord, state: State, { active, sha256, parameters }: Found) {
  const { job, status, reason, version, steps, loss, evaluation, checkpoint, attempt } = state;
  return {
    ...{ job, status, active, reason, step: version ?? 0, steps, version, loss, evaluation, checkpoint },
    ...{ sha256, parameters, attempt, backend: provenance.backend, device: provenance.device },
    ...{ createdAt: state.createdAt, updatedAt: state.updatedAt, endedAt: state.endedAt },
  };
}

type Seen = {
  readonly address: TargetAddress;
  readonly record: JobRecord;
  readonly state: State;
  readonly active: boolean;
  readonly manifest: Manifest | null;
  readonly parameters: number | null;
  /** On a stack. */
  readonly workers?: WorkersSeen | null;
};

function humanReport(
  { address, record, state, active, manifest, parameters, workers = null }: Seen,
  now = Date.now(),
): string[] {
  const running = active && !isEnded(state);
  const size = parameters === null ? "" : `, ${short(parameters)} parameters`;
  return [
    ...(running
      ? [`${state.job} is ${state.status}: step ${count(state.version ?? 0)} of ${count(state.steps)}`]
      : outcomeLines(state, address)),
    `  model       ${modelLabel(record)}${size}`,
    `  backend     ${describeBackend(record)}`,
    `  loss        ${loss(state.loss)}${heldOut(state)}`,
    ...(running ? rateLine(record, manifest) : []),
    ...(workers === null ? [] : [`  workers     ${describeWorkers(workers)}`]),
    ...(state.checkpoint ? [`  checkpoint  step ${count(state.checkpoint.version)}`] : []),
    `  updated     ${duration(now - Date.parse(state.updatedAt))} ago`,
  ];
}

const heldOut = ({ evaluation }: State): string =>
  evaluation ? `, held out ${loss(evaluation.loss)} at step ${count(evaluation.version)}` : "";

function rateLine(record: JobRecord, manifest: Manifest | null): string[] {
  const rates = ratesOf(manifest?.metrics.slice(-50) ?? []);
  if (rates === null) return [];
  return [
    `  speed       ${count(rates.tokensPerSecond)} ${unitOf(record)}/s, ${milliseconds(rates.stepMs)} ms a step`,
  ];
}
