import { isEnded, type JobRecord, type State } from "../protocol/records.ts";
import { type Interruption, pause } from "./interruption.ts";
import type { StackTarget, Target } from "./target.ts";
import { JobView } from "./view/job-view.ts";
import type { Reporter } from "./view/reporter.ts";
import type { Workforce } from "./workforce.ts";

const LOOK_MS = 300;
/** AWS takes money for each look. */
const STACK_LOOK_MS = 1000;
/** Looks between two checks of whether some process still runs the job. */
const LOOKS_PER_CHECK = 5;

async function openWorkforce(target: StackTarget, record: JobRecord): Promise<Workforce | null> {
  const { openWorkforce: open } = await import("./workforce.ts");
  return open(target, record);
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
  const job = record.spec.name;
  const { state: first } = await target.cloud.jobs.state(job);
  const view = new JobView(target.cloud, record, Date.parse(first.createdAt));
  const workforce = target.kind === "stack" ? await openWorkforce(target, record) : null;
  const lookMs = workforce ? STACK_LOOK_MS : LOOK_MS;
  for (let looks = 0; ; looks++) {
    const state = await view.look(reporter, workforce?.seen ?? null);
    await workforce?.look(state, (event) => reporter.event(event));
    if (isEnded(state)) return { state, how: "ended" };
    if (interruption.first.aborted) return { state, how: "left" };
    if (looks % LOOKS_PER_CHECK === 0 && !(await target.running()).has(job)) {
      // It may have ended, and its runner with it, since the look.
      const last = await view.look(reporter, workforce?.seen ?? null);
      return { state: last, how: isEnded(last) ? "ended" : "abandoned" };
    }
    await pause(lookMs, interruption.first);
  }
}
