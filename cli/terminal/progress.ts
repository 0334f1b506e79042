import type { JobRecord, Metrics, State } from "../../protocol/records.ts";

/** The workers of a job, as a view knows them. */
export type WorkersSeen = {
  readonly alive: number;
  readonly wanted: number;
  /** The status of the workers of a stack that do not run: `1 starting, 2 queued: why`. */
  readonly others?: string | undefined;
};

/** Everything that a view shows of a job. */
export type Progress = {
  readonly job: string;
  readonly record: JobRecord;
  readonly parameters: number | null;
  readonly state: State | null;
  /** The latest steps, from which rates are computed. */
  readonly recent: readonly Metrics[];
  /** The loss of the whole job, thinned evenly. */
  readonly curve: readonly { readonly version: number; readonly loss: number }[];
  readonly workers: WorkersSeen | null;
  /** The current activity while there are no steps to show. */
  readonly activity: string;
  /** Start of the elapsed time, in milliseconds since 1970. */
  readonly since: number;
};

const RECENT_STEPS = 50;
const CURVE_POINTS = 512;
/** A step that took more than this many times the median is left out of the rates. */
const OUTLIER = 10;

export function beginProgress(record: JobRecord, since: number): Progress {
  return {
    job: record.spec.name,
    record,
    parameters: null,
    state: null,
    recent: [],
    curve: [],
    workers: null,
    activity: "",
    since,
  };
}

/** Adds the steps since the last update, in order. */
export function addSteps(progress: Progress, steps: readonly Metrics[]): Progress {
  if (steps.length === 0) return progress;
  const recent = [...progress.recent, ...steps].slice(-RECENT_STEPS);
  const points = [...progress.curve, ...steps.map(({ version, loss }) => ({ version, loss }))];
  return { ...progress, recent, curve: thin(points) };
}

/** Keeps every 2nd, 4th, 8th ... version, as few as CURVE_POINTS demands, and always the last. */
function thin(points: Progress["curve"]): Progress["curve"] {
  const last = points.at(-1)?.version ?? 0;
  const stride = 2 ** Math.max(0, Math.ceil(Math.log2(last / CURVE_POINTS)));
  return points.filter(({ version }) => version % stride === 0 || version === last);
}

export type Rates = {
  readonly tokensPerSecond: number;
  readonly stepMs: number;
  readonly phases: Readonly<Record<"pull" | "compute" | "push" | "aggregate" | "other", number>>;
};

/** Means over the latest steps; null before the first. */
export function ratesOf(recent: readonly Metrics[]): Rates | null {
  const steps = steady(recent);
  if (steps.length === 0) return null;
  const mean = (of: (step: Metrics) => number) =>
    steps.reduce((sum, step) => sum + of(step), 0) / steps.length;
  const stepMs = mean((step) => step.stepMs);
  const [pull, compute, push, aggregate] = [
    mean((step) => step.pullMs),
    mean((step) => step.computeMs),
    mean((step) => step.pushMs),
    mean((step) => step.aggregateMs),
  ];
  const other = Math.max(0, stepMs - pull - compute - push - aggregate);
  const tokensPerSecond = stepMs > 0 ? (mean((step) => step.tokens) * 1000) / stepMs : 0;
  return { tokensPerSecond, stepMs, phases: { pull, compute, push, aggregate, other } };
}

/** Leaves out steps that waited, as for a resume or a restarted process: they do not predict the next ones. */
function steady(recent: readonly Metrics[]): readonly Metrics[] {
  const times = recent.map((step) => step.stepMs).sort((a, b) => a - b);
  const median = times[Math.floor((times.length - 1) / 2)] ?? 0;
  return recent.filter((step) => step.stepMs <= median * OUTLIER);
}

/** Milliseconds to the last step at the present rate; null before the first step. */
export function etaOf({ state, recent }: Progress): number | null {
  const rates = ratesOf(recent);
  if (state === null || rates === null || rates.stepMs === 0) return null;
  return (state.steps - (state.version ?? 0)) * rates.stepMs;
}
