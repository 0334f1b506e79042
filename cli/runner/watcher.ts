import { isEnded, type JobRecord, type State } from "../../protocol/records.ts";
import type { StackTarget, Target } from "../targets/target.ts";
import { type Interruption, pause } from "../terminal/interruption.ts";
import { JobView } from "../terminal/job-view.ts";
import type { Reporter } from "../terminal/reporter.ts";
import type { WorkersView } from "../terminal/workers-view.ts";
import { Patience } from "./outage-limit.ts";

const LOOK_MS = 300;
/** AWS takes money for each look. */
const STACK_LOOK_MS = 1000;
/** Looks between two checks of whether some process still runs the job. */
const LOOKS_PER_CHECK = 5;

async function openWorkers(target: StackTarget, record: JobRecord): Promise<WorkersView | null> {
  const { openWorkersView } = await import("../terminal/workers-view.ts");
  return openWorkersView(target, record);
}

export type Watched = {
  readonly state: State;
  /** `ended`; `left`: the watcher's user had enough; `abandoned`: the process that ran it is gone. */
  readonly how: "ended" | "left" | "abandoned";
};

/** Shows how a job goes that another process, or a stack, runs. */
export async function watchJob(
  target: Target,
  record: JobRecord,
  reporter: Reporter,
  interruption: Interruption,
): Promise<Watched> {
  const look = await watcherOf(target, record, reporter);
  const lookMs = target.kind === "stack" ? STACK_LOOK_MS : LOOK_MS;
  const patience = new Patience();
  for (let looks = 0; ; looks++) {
    try {
      const state = await look();
      patience.renew();
      if (isEnded(state)) return { state, how: "ended" };
      if (interruption.first.aborted) return { state, how: "left" };
      if (looks % LOOKS_PER_CHECK === 0 && !(await target.running()).has(record.spec.name)) {
        // It may have ended, and its runner with it, since the look.
        const last = await look();
        return { state: last, how: isEnded(last) ? "ended" : "abandoned" };
      }
    } catch (error) {
      if (interruption.first.aborted) throw error;
      patience.bear(error);
    }
    await pause(lookMs, interruption.first);
  }
}

/** Brings what is shown up to date each time it is called. */
async function watcherOf(
  target: Target,
  record: JobRecord,
  reporter: Reporter,
): Promise<() => Promise<State>> {
  const { state: first } = await target.cloud.jobs.state(record.spec.name);
  const view = new JobView(target.cloud, record, Date.parse(first.createdAt));
  const workers = target.kind === "stack" ? await openWorkers(target, record) : null;
  return async () => {
    const state = await view.look(reporter, workers?.seen ?? null);
    await workers?.look(state, (event) => reporter.event(event));
    return state;
  };
}
