import type { Cloud } from "../../cloud/connect.ts";
import type { JobRecord, State } from "../../protocol/records.ts";
import { eventsBetween, Follower } from "../runner/job-follower.ts";
import { addSteps, beginProgress, type Progress } from "./progress.ts";
import type { Reporter } from "./reporter.ts";

/** The progress of one job, for a reporter. */
export class JobView {
  readonly #cloud: Cloud;
  readonly #follower: Follower;
  #progress: Progress;

  /** @param since start of the elapsed time, in milliseconds since 1970 */
  constructor(cloud: Cloud, record: JobRecord, since: number) {
    this.#cloud = cloud;
    this.#follower = new Follower(cloud, record.spec.name);
    this.#progress = beginProgress(record, since);
  }

  /** Reads the job, reports its events and progress, and returns its state. */
  async poll(reporter: Reporter, workers: Progress["workers"]): Promise<State> {
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

/** The activity before there are steps to show. */
function activityOf({ version }: State): string {
  if (version === null) return "workers load TensorFlow and write the initial parameters";
  return version === 0 ? "first step" : "";
}
