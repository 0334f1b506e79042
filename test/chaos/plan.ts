import type { Fault } from "../support/fault-proxy.ts";
import type { Jump } from "./clock.ts";
import { type Point, points } from "./crash.ts";
import { type JobName, jobNames } from "./jobs.ts";
import { Random } from "./random.ts";

export const kinds = [
  "crash",
  "kill",
  "drop",
  "delay",
  "damage",
  "twice",
  "refuse",
  "suspend",
  "clock",
  "disk",
  "mixed",
] as const;
export type Kind = (typeof kinds)[number];

export const roles = ["worker", "functions"] as const;
export type Victim = (typeof roles)[number] | "emulator";
const victims: readonly Victim[] = ["worker", "functions", "emulator"];

export type Kill = { readonly victim: Victim; readonly afterMs: number };
export type Stop = { readonly victim: Victim | "all"; readonly afterMs: number; readonly forMs: number };
export type Fill = { readonly afterMs: number; readonly forMs: number; readonly leave: number };

/** The faults of a trial. Kills, stops and fills each begin so long after the one before. */
export type Faults = {
  /** The version that the job has when the first of them begins; null for its submission. */
  readonly from?: number | null;
  /** Every first process of the role dies there. */
  readonly crash?: { readonly role: (typeof roles)[number]; readonly point: Point; readonly nth: number };
  readonly kills?: readonly Kill[];
  /** The part of all requests that meets each fault of the network. */
  readonly network?: Readonly<Partial<Record<Fault, number>>>;
  readonly stops?: readonly Stop[];
  readonly clock?: { readonly of: Victim | "all"; readonly jumps: readonly Jump[] };
  readonly fills?: readonly Fill[];
};

export type Trial = {
  readonly kind: Kind | "calm";
  readonly seed: string;
  readonly job: JobName;
  readonly faults: Faults;
  /** The job fails after so long without progress by the watchdog's measure, which no fault may distort. */
  readonly stallMinutes: number;
};

/** Every crash point that a process of each role passes: a worker removes no objects. */
export const crashes = roles.flatMap((role) =>
  points
    .filter((point) => role === "functions" || point !== "before-remove")
    .map((point) => ({ role, point })),
);

/** Draws a trial: the same seed, kind and job give the same plan. */
export function planTrial(seed: string, kind: Kind, job?: JobName): Trial {
  const random = new Random(`${seed} ${kind}`);
  const drawn = random.of(jobNames);
  return { kind, seed, job: job ?? drawn, faults: draws[kind](random), stallMinutes: STALL_MINUTES };
}

/** A trial without a fault. */
export const calmTrial = (job: JobName): Trial => ({
  kind: "calm",
  seed: "calm",
  job,
  faults: {},
  stallMinutes: STALL_MINUTES,
});

/** Shorter than most clock jumps, longer than anything that a trial waits for. */
const STALL_MINUTES = 1;
/** All processes sleep for longer than that. */
const SLEEP: Stop = { victim: "all", afterMs: 100, forMs: STALL_MINUTES * 60_000 + 2_000 };

const draws: Readonly<Record<Kind, (random: Random) => Faults>> = {
  crash: (random) => ({ crash: { ...random.of(crashes), nth: random.whole(1, 5) } }),
  kill: (random) => ({ from: drawFrom(random), kills: random.some(1, 4, () => drawKill(random)) }),
  drop: (random) => ({ network: { dropRequest: rate(random), dropAnswer: rate(random) } }),
  delay: (random) => ({ network: { delay: rate(random) } }),
  damage: (random) => ({
    network: Object.fromEntries(random.some(1, 3, () => [random.of(DAMAGES), rate(random)])),
  }),
  twice: (random) => ({ network: { double: random.logarithmic(20, 500) / 1000 } }),
  refuse: (random) => ({ network: { refuse: random.logarithmic(20, 150) / 1000 } }),
  suspend: (random) => ({
    from: drawFrom(random),
    stops: random.chance(0.05) ? [SLEEP] : random.some(1, 3, () => drawStop(random)),
  }),
  clock: (random) => ({
    clock: { of: random.of(["all", "all", ...victims]), jumps: random.some(1, 3, () => drawJump(random)) },
  }),
  disk: (random) => ({ from: drawFrom(random), fills: random.some(1, 2, () => drawFill(random)) }),
  mixed: drawMixed,
};

const DAMAGES = ["damageRequest", "damageAnswer", "shortenRequest", "shortenAnswer"] as const;

/** Several kinds at once, each met less often. The disk stays apart: a full one may end the job. */
function drawMixed(random: Random): Faults {
  const parts = [draws.crash, draws.kill, draws.suspend, draws.clock];
  const network = {
    dropRequest: 0.01,
    dropAnswer: 0.01,
    delay: 0.01,
    double: 0.05,
    refuse: 0.02,
  };
  return Object.assign({ network }, ...random.some(1, 2, () => random.of(parts)(random)));
}

const drawFrom = (random: Random): number | null => (random.chance(0.3) ? null : random.whole(0, 3));

const drawKill = (random: Random): Kill => ({ victim: random.of(victims), afterMs: random.whole(50, 650) });

const drawStop = (random: Random): Stop => ({
  victim: random.of([...victims, "all"]),
  afterMs: random.whole(50, 900),
  forMs: random.logarithmic(100, 3000),
});

const drawJump = (random: Random): Jump => ({
  afterMs: random.whole(100, 5000),
  byMs: random.of([-1, 1]) * random.logarithmic(500, 4 * 3_600_000),
});

const drawFill = (random: Random): Fill => ({
  afterMs: random.whole(20, 600),
  forMs: random.whole(200, 2000),
  leave: random.of([0, 4096, 200_000, 8_000_000]),
});

const rate = (random: Random): number => random.logarithmic(5, 60) / 1000;

/** Says in a line what is done to a trial. */
export function describeFaults({
  crash,
  kills = [],
  network = {},
  stops = [],
  clock,
  fills = [],
}: Faults): string {
  const seconds = (ms: number) => `${ms / 1000} s`;
  return [
    ...(crash ? [`${crash.role} dies ${crash.point}, passage ${crash.nth}`] : []),
    ...kills.map(({ victim, afterMs }) => `${victim} killed after ${seconds(afterMs)}`),
    ...Object.entries(network).map(([fault, part]) => `${fault} ${(100 * part).toFixed(1)} %`),
    ...stops.map(
      ({ victim, afterMs, forMs }) => `${victim} stopped after ${seconds(afterMs)} for ${seconds(forMs)}`,
    ),
    ...(clock?.jumps ?? []).map(
      ({ afterMs, byMs }) => `clock of ${clock?.of} jumps at ${seconds(afterMs)} by ${seconds(byMs)}`,
    ),
    ...fills.map(
      ({ afterMs, forMs, leave }) =>
        `disk filled to ${leave} bytes after ${seconds(afterMs)} for ${seconds(forMs)}`,
    ),
  ].join(", ");
}
