import { workersHere } from "../runner/worker-count.ts";
import { LOCAL_LEASE_SECONDS } from "../submission/attempts.ts";
import type { LocalTarget, OpenTarget } from "./target.ts";

const WATCH_INTERVAL_MS = 300;

/** The verbs that differ between the open targets of this machine. */
type Own = Pick<LocalTarget, "address" | "cloud" | "home" | "environment" | "revive"> &
  Pick<OpenTarget, "claim" | "running" | "isLost" | "close">;

export function openLocalTarget(own: Own): LocalTarget {
  const target: LocalTarget = {
    ...own,
    leaseSeconds: LOCAL_LEASE_SECONDS,
    watchIntervalMs: WATCH_INTERVAL_MS,
    runningHere: own.running,
    workersFor: workersHere,
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
