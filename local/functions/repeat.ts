import { setTimeout as sleep } from "node:timers/promises";

/** Does `task` again and again until `signal` is aborted, with `ms` between the end of one and the start of the next. */
export async function repeat(task: () => Promise<void>, ms: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    // The signal ends the wait with an error, which the loop's condition sees.
    await sleep(ms, undefined, { signal }).catch(() => {});
    if (!signal.aborted) await task();
  }
}
