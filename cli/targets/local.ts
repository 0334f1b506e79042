import type { Finding } from "../doctor/finding.ts";
import { LOCAL_LEASE_SECONDS } from "../submission/attempts.ts";
import type { LocalTarget, OpenTarget, Target } from "./target.ts";

/** What the targets have in common whose functions and workers are processes of this machine. */

const WATCH_INTERVAL_MS = 300;

type Closed = Pick<Target, "address" | "hasJobs"> & {
  /** The folder of its jobs' logs. */
  readonly home: string;
  readonly open: () => Promise<LocalTarget>;
  /** Finds out, for `doctor`, whether its S3 and SQS answer. */
  readonly checkAccess: () => Promise<Finding>;
};

export function localTarget({ address, home, hasJobs, open, checkAccess }: Closed): Target {
  return {
    ...{ address, hasJobs, open },
    printLogs: async (job, options) =>
      (await import("./local-logs.ts")).printLocalLogs({ home, job, ...options, open }),
    doctor: async () => (await import("../doctor/machine-doctor.ts")).doctorOfMachine(address, checkAccess),
    runInBackground: async (job, args) =>
      (await import("../runner/background.ts")).runInBackground({ address, home, job, args }),
    explain: async (error) => error,
  };
}

/** What differs between the open targets of this machine. */
type Own = Pick<LocalTarget, "address" | "cloud" | "home" | "environment" | "revive"> &
  Pick<OpenTarget, "claim" | "running" | "close">;

export function openLocalTarget(own: Own): LocalTarget {
  const target: LocalTarget = {
    ...own,
    leaseSeconds: LOCAL_LEASE_SECONDS,
    watchIntervalMs: WATCH_INTERVAL_MS,
    runningHere: own.running,
    provenanceOf: async (spec) => (await import("../runner/probe-provenance.ts")).probeProvenance(spec),
    notesOn: () => [],
    continueAttempt: async (state, steps) =>
      (await import("../runner/run-here.ts")).continueHere(target, state, steps),
    runAttempt: async (attempt) => (await import("../runner/run-here.ts")).runHere(target, attempt),
    resize: async (state, workers) => (await import("./local-resize.ts")).resizeHere(target, state, workers),
    cancel: async (state) => (await import("./local-cancel.ts")).cancelHere(target, state),
    countWorkers: async () => null,
    viewWorkers: async () => ({ seen: null, update: async () => {} }),
  };
  return target;
}
