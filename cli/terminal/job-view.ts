import type { Cloud } from "../../cloud/connect.ts";
import type { JobRecord, State } from "../../protocol/records.ts";
import { eventsBetween, Follower } from "../runner/job-follower.ts";
import { addSteps, beginProgress, type Progress } from "./progress.ts";
import type { Reporter } from "./reporter.ts";

/** What a process shows of one job, brought up to date with each look. */
export class JobView {
  readonly #cloud: Cloud;
  readonly #follower: Follower;
  #progress: Progress;

  /** @param since when what is shown began, in milliseconds since 1970 */
  constructor(cloud: Cloud, record: JobRecord, since: number) {
    this.#cloud = cloud;
    this.#follower = new Follower(cloud, record.spec.name);
    this.#progress = beginProgress(record, since);
  }

  /** Looks at the job, reports what is new, and returns its state. */
  async look(reporter: Reporter, workers: Progress["workers"]): Promise<State> {
    const { state, steps } = await this.#follower.poll();
    const before = this.#progress;
    const parameters = before.parameters ?? (await this.#parameters(state));
    this.#progress = addSteps({ ...before, state, workers, parameters, activity: activityOf(state) }, steps);
    if (before.state) for (const event of eventsBetween(before.state, state)) reporter.event(event);
    reporter.update(this.#progress);
    return state;
  }

  async #parameters({ job, version }: State): Promise<number | null> {
    return version === null ? null : ((await this.#cloud.jobs.layout(job))?.parameters ?? null);
  }
}

/** What goes on before there are steps to show. */
function activityOf({ version }: State): string {
  if (version === null) return "workers load TensorFlow and write the initial parameters";
  return version === 0 ? "first step" : "";
}
