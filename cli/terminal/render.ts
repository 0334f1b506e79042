import type { JobRecord } from "../../protocol/records.ts";
import { required } from "../../protocol/required.ts";
import { bar, sparkline } from "./chart.ts";
import { count, duration, loss, milliseconds, several, short } from "./format.ts";
import { etaOf, type Progress, ratesOf, type WorkersSeen } from "./progress.ts";
import type { Style } from "./style.ts";

/** The text of the views, as pure functions of the progress. */

const BAR_WIDTH = 44;
const MIN_BAR_WIDTH = 10;
const CURVE_WIDTH = 32;
/** A job without a step for this long is shown as silent, since the rates beside are those of earlier steps. */
const SILENCE_MS = 10_000;
/** A job whose steps take long is silent only after this many times the mean step. */
const SILENT_STEPS = 3;

/** `gpt2 4x128, context 64`, `linear 10x10` or `gpt2 from DIR`, for a heading. */
export function modelLabel({ spec }: JobRecord): string {
  const { model } = spec;
  if (model.type === "linear") return `linear ${model.inputs}x${model.outputs}`;
  if (model.type === "pretrained")
    return `${required(model.config?.model_type, "model.config.model_type")} from ${model.from}`;
  if (model.type === "module") return `model of ${model.module}`;
  return `${model.type} ${model.layers}x${model.width}, context ${model.context}`;
}

export function describeBackend({ provenance }: JobRecord): string {
  return `${provenance.backend} ${provenance.library} on ${provenance.device}`;
}

/** The block that the live view repaints, in a window of `columns`. */
export function renderBlock(progress: Progress, now: number, style: Style, columns = 80): string[] {
  const { job, record, parameters, state } = progress;
  const size = parameters === null ? "" : `, ${short(parameters)} parameters`;
  const { spec } = record;
  const shape = `${several(spec.ranks, "rank")} x batch ${spec.batch}, ${several(spec.shards, "shard")}`;
  return [
    "",
    `  ${style("bold", job)}  ${modelLabel(record)}${size}`,
    `  ${style("dim", `${describeBackend(record)} · ${spec.optimizer.type} · ${shape}`)}`,
    "",
    ...(state?.version || progress.recent.length > 0
      ? stepLines(progress, style, columns)
      : [startLine(progress, style)]),
    `  ${timeLine(progress, now, style)}`,
    "",
  ];
}

function startLine({ activity, workers }: Progress, style: Style): string {
  const ready = workers === null ? "" : `, ${describeWorkers(workers)}`;
  return `  ${style("cyan", `${activity || "starting"} ...`)}${style("dim", ready)}`;
}

function stepLines(progress: Progress, style: Style, columns: number): string[] {
  const { state, recent, curve } = progress;
  const version = state?.version ?? 0;
  const steps = state?.steps ?? progress.record.spec.steps;
  const latest = recent.at(-1)?.loss ?? state?.loss;
  const evaluation = state?.evaluation;
  const heldOut = evaluation
    ? `   held out ${style("bold", loss(evaluation.loss))} ${style("dim", `at ${count(evaluation.version)}`)}`
    : "";
  const line = sparkline(
    curve.map((point) => point.loss),
    CURVE_WIDTH,
  );
  // In a narrow window the bar is shortened, and the numbers beside it stay whole.
  const beside = `    step ${count(steps)} of ${count(steps)} `.length;
  const width = Math.max(MIN_BAR_WIDTH, Math.min(BAR_WIDTH, columns - beside));
  return [
    `  ${style("green", bar(version / steps, width))}  step ${style("bold", count(version))} of ${count(steps)}`,
    `  loss ${style("bold", loss(latest))}  ${style("cyan", line)}${heldOut}`,
    ...rateLines(progress, style),
  ];
}

const isText = ({ spec }: JobRecord): boolean => spec.data.type === "text";

/** The unit of the training rate. */
export const unitOf = (record: JobRecord): string => (isText(record) ? "tokens" : "examples");

function rateLines({ record, recent, workers }: Progress, style: Style): string[] {
  const rates = ratesOf(recent);
  if (rates === null) return [];
  const phases = Object.entries(rates.phases)
    .map(([name, ms]) => `${name} ${milliseconds(ms)}`)
    .join("  ");
  const seen = new Set(recent.flatMap((step) => step.workers)).size;
  const who = workers === null ? several(seen, "worker") : describeWorkers(workers);
  return [
    `  ${count(rates.tokensPerSecond)} ${unitOf(record)}/s   ${who}`,
    `  ${milliseconds(rates.stepMs)} ms a step: ${style("dim", phases)}`,
  ];
}

function timeLine(progress: Progress, now: number, style: Style): string {
  const eta = progress.state?.status === "running" ? etaOf(progress) : null;
  const left = eta === null ? "" : `   eta ${duration(eta)}`;
  const silent = silenceOf(progress, now);
  const silence = silent === null ? "" : style("yellow", `   no step for ${duration(silent)}`);
  const finishing =
    progress.state?.status === "finishing" ? style("cyan", "   writing the last checkpoint ...") : "";
  return `elapsed ${duration(now - progress.since)}${left}${silence}${finishing}`;
}

/** Milliseconds since the last step of a silent job, such as one whose worker was lost; null otherwise. */
function silenceOf({ state, recent }: Progress, now: number): number | null {
  const rates = ratesOf(recent);
  if (state?.status !== "running" || rates === null) return null;
  const silent = now - Date.parse(state.updatedAt);
  return silent > Math.max(SILENCE_MS, SILENT_STEPS * rates.stepMs) ? silent : null;
}

/** `2 of 4 workers`, and the status of the others. */
export function describeWorkers({ alive, wanted, others }: WorkersSeen): string {
  return `${alive} of ${several(wanted, "worker")}${others === undefined ? "" : `, ${others}`}`;
}

/** One line for logs and pipes: `step 100/2000  loss 2.512  12,900 tok/s  eta 2m10s`. */
export function renderLine(progress: Progress): string {
  const { state, recent } = progress;
  const rates = ratesOf(recent);
  const eta = etaOf(progress);
  return [
    `step ${state?.version ?? 0}/${state?.steps ?? progress.record.spec.steps}`,
    `loss ${loss(recent.at(-1)?.loss ?? state?.loss)}`,
    ...(rates === null
      ? []
      : [`${count(rates.tokensPerSecond)} ${isText(progress.record) ? "tok/s" : "examples/s"}`]),
    ...(eta === null ? [] : [`eta ${duration(eta)}`]),
  ].join("  ");
}
