/** Time in which this process ran: a laptop that slept, or a process that was stopped, missed nothing meanwhile. */

/** How often the clock looks at the time while nobody asks for it. */
const TICK_MS = 500;
/** A longer time between two looks is sleep, beyond this: nothing of this process ran, or it was too busy to see anything. */
const LONGEST_GAP_MS = 2 * TICK_MS;

let awakeMs = 0;
let lookedAt: number | null = null;

/**
 * Returns milliseconds that only ever grow, by the time for which this process was awake: no jump of the system's clock,
 * no sleep of the machine and no SIGSTOP counts. Only differences mean something.
 */
export function awakeNow(): number {
  if (lookedAt === null) {
    setInterval(awakeNow, TICK_MS).unref();
    lookedAt = performance.now();
  }
  const now = performance.now();
  awakeMs += Math.min(now - lookedAt, LONGEST_GAP_MS);
  lookedAt = now;
  return awakeMs;
}
