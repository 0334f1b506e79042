import { isEnded, type JobRecord, type State } from "../protocol/records.ts";
import { type Interruption, pause } from "./interruption.ts";
import type { Target } from "./target.ts";
import { JobView } from "./view/job-view.ts";
import type { Reporter } from "./view/reporter.ts";

const LOOK_MS = 300;
/** Looks between two checks of whether some process still runs the job. */
const LOOKS_PER_CHECK = 5;

export type Watched = {
  readonly state: State;
  /** `ended`; `left`: the watcher's user had enough; `abandoned`: the process that ran it is gone. */
  readonly how: "ended" | "left" | "abandoned";
};

/** Shows how a job goes that another process runs. */
export async function watchJob(
  target: Target,
  record: JobRecord,
  reporter: Reporter,
  interruption: Interruption,
): Promise<Watched> {
  const job = record.spec.name;
  const { state: first } = await target.cloud.jobs.state(job);
  const view = new JobView(target.cloud, record, Date.parse(first.createdAt));
  for (let looks = 0; ; looks++) {
    const state = await view.look(reporter, null);
    if (isEnded(state)) return { state, how: "ended" };
    if (interruption.first.aborted) return { state, how: "left" };
    if (looks % LOOKS_PER_CHECK === 0 && !(await target.running()).has(job))
      return { state, how: "abandoned" };
    await pause(LOOK_MS, interruption.first);
  }
}
