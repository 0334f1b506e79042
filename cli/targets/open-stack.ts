import { connect } from "../../cloud/connect.ts";
import { LEASE_SECONDS } from "../../cloud/queues.ts";
import { keys } from "../../protocol/keys.ts";
import type { JobRecord } from "../../protocol/records.ts";
import { required } from "../../protocol/required.ts";
import { workersPerRank } from "../runner/worker-count.ts";
import type { StackAddress } from "./address.ts";
import { discover, type Stack } from "./stack-parameters.ts";
import type { StackTarget } from "./target.ts";

/** Longer than on this machine: AWS takes money for each request. */
const WATCH_INTERVAL_MS = 1000;

/**
 * Opens a stack.
 *
 * @throws InvalidInput when there is none of that name
 */
export async function openStack(address: StackAddress): Promise<StackTarget> {
  const stack = await discover(address.stack, address.environment);
  const queues = Object.values(stack.workers?.pools ?? {}).map(({ queue }) => queue);
  const cloud = connect({
    ...address.environment,
    PS_BUCKET: stack.bucket,
    PS_UPDATES_URL: stack.updates,
    PS_QUEUE_PREFIX: stack.queuePrefix,
    PS_JOB_QUEUES: queues.join(","),
  });
  const target: StackTarget = {
    ...{ address, stack, cloud },
    leaseSeconds: LEASE_SECONDS,
    watchIntervalMs: WATCH_INTERVAL_MS,
    async running() {
      const markers = await cloud.store.list(keys.actives);
      return new Set(markers.map(({ key }) => required(key.split("/")[1], `the job in ${key}`)));
    },
    runningHere: async () => new Set(),
    // The functions of a stack keep its jobs going, and two commands may work on one job at a time.
    claim: async () => ({ release: () => {}, lost: new Promise(() => {}) }),
    workersFor: workersPerRank,
    isLost: async () => false,
    provenanceOf: async (spec) => (await import("./stack-attempt.ts")).provenanceOnStack(stack, spec),
    notesOn: (record) => noteOnImage(stack, record),
    continueAttempt: async (state, steps) =>
      (await import("./stack-attempt.ts")).continueOnStack(state, steps),
    runAttempt: async (attempt) => (await import("./stack-attempt.ts")).runOnStack(target, attempt),
    resize: async (state, workers) =>
      (await import("./stack-resize.ts")).resizeOnStack(target, state, workers),
    cancel: async (state) => (await import("./stack-cancel.ts")).cancelOnStack(target, state),
    countWorkers: async (state) => (await import("./stack-workers.ts")).countOnStack(target, state),
    viewWorkers: async (record) => (await import("./stack-workers-view.ts")).viewOnStack(target, record),
    close: () => cloud.close(),
  };
  return target;
}

/** Another image may hold another library, which may round differently in the last bit. */
function noteOnImage(stack: Stack, { provenance: { device, library } }: JobRecord): string[] {
  const image = stack.workers?.pools[device]?.image;
  if (image === undefined || image === library) return [];
  return [
    `note: the workers' image has changed since the job began, from ${library} to ${image}; the result may differ in its last bits`,
  ];
}
