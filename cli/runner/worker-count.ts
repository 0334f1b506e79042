import { availableParallelism } from "node:os";
import type { WantedWorkers, WorkersGiven } from "../targets/target.ts";
import { several, short } from "../terminal/format.ts";

/** How many workers a job gets on this machine: they never change its result. */

export type Machine = {
  readonly cores: number;
  /** Bytes that processes may still take. */
  readonly memory: number;
};

/** Node, TensorFlow and the activations of a small model: measured, 250 to 450 MB. */
const WORKER_BYTES = 512 * 1024 ** 2;
/** Of a parameter: its value, its gradient, TensorFlow's copies of both, and what the activations take beside. */
const PARAMETER_BYTES = 24;
/** More workers than cores only take memory; this many times more may be a slip. */
const FAR_ABOVE = 2;

const thisMachine = (): Machine => ({ cores: availableParallelism(), memory: process.availableMemory() });

/** Gives a job as many workers as are asked for; if nobody asks, at most what cores and memory bear. */
export function workersHere(wanted: WantedWorkers, machine: Machine = thisMachine()): WorkersGiven {
  const { asked, ranks, parameters } = wanted;
  const each = WORKER_BYTES + PARAMETER_BYTES * (parameters ?? 0);
  const room = Math.max(1, Math.floor(machine.memory / each));
  const bearable = Math.min(ranks, machine.cores, room);
  const has = `this machine has ${several(machine.cores, "core")} and ${short(machine.memory)}B of free memory`;
  if (asked === undefined) {
    const note = `${several(bearable, "worker")} for ${ranks} ranks: ${has}; the result is the same with any number (--workers N)`;
    return { workers: bearable, notes: bearable < ranks ? [note] : [] };
  }
  const isFar = asked > FAR_ABOVE * Math.min(machine.cores, room);
  const advice = `${has}, and each takes some ${short(each)}B; --workers ${bearable} is likely as fast, with the same result`;
  return { workers: asked, notes: isFar ? [`${asked} workers: ${advice}`] : [] };
}

/** Gives a job as many workers as are asked for, else one for each rank. */
export const workersPerRank = ({ asked, ranks }: WantedWorkers): WorkersGiven => ({
  workers: asked ?? ranks,
  notes: [],
});
