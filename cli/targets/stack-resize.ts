import type { State } from "../../protocol/records.ts";
import { count, several } from "../terminal/format.ts";
import { print } from "../terminal/print.ts";
import { addWorkers, batchOf, FEWER, livingIn } from "./stack-workers.ts";
import type { StackTarget } from "./target.ts";

/** Asks AWS Batch for more workers of a job, or ends some. */
export async function resizeOnStack(target: StackTarget, state: State, wanted: number): Promise<void> {
  const { job, attempt } = state;
  const batch = batchOf(target);
  const living = livingIn(await batch.groups(job, attempt));
  if (wanted > living) {
    await addWorkers(target, await target.cloud.jobs.record(job), state, wanted - living);
    print([`${job} has ${several(living, "worker")}; asked AWS Batch for ${count(wanted - living)} more`]);
  } else if (wanted < living) {
    const ended = await batch.reduce(job, attempt, wanted, FEWER);
    const what = ended === 1 ? "gives back its task and ends" : "give back their tasks and end";
    print([`${count(ended)} of ${count(living)} workers ${what}`]);
  } else {
    print([`${job} has ${several(living, "worker")} already`]);
  }
}
