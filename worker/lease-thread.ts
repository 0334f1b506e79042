import { parentPort, workerData } from "node:worker_threads";
import { connect } from "../cloud/connect.ts";
import { describe } from "../protocol/errors.ts";

/**
 * Renews the lease that the worker holds, on a thread of its own: a gradient is computed in one go and would let no
 * timer of the main thread run in time.
 */
export type Holding = { readonly url: string; readonly receipt: string; readonly seconds: number } | null;

const { queues } = connect(workerData);
let holding: Holding = null;
let timer: NodeJS.Timeout | undefined;

parentPort?.on("message", (next: Holding) => {
  clearInterval(timer);
  holding = next;
  if (holding) timer = setInterval(renew, (holding.seconds * 1000) / 3);
});

function renew(): void {
  const renewed = holding;
  if (!renewed) return;
  queues.lease(renewed.url, renewed.receipt, renewed.seconds).catch((error: unknown) => {
    // A lease that was given up meanwhile has nothing to report.
    if (holding === renewed) parentPort?.postMessage(describe(error));
  });
}
