import { isEnded, type JobRecord, type State } from "../../protocol/records.ts";
import { commandFor } from "../targets/address.ts";
import type { OpenTarget } from "../targets/target.ts";
import { reporterFor } from "../terminal/choose-reporter.ts";
import { codeOfStatus, exitCodes } from "../terminal/exit.ts";
import { type Interruption, listenForInterruption, sleep } from "../terminal/interruption.ts";
import { JobView } from "../terminal/job-view.ts";
import { outcomeLines } from "../terminal/outcome.ts";
import { print } from "../terminal/print.ts";
import type { Reporter } from "../terminal/reporter.ts";
import { isInBackground } from "./background.ts";
import { OutageTimer } from "./outage-timer.ts";

/** Polls between two checks of whether some process still runs the job. */
const POLLS_PER_CHECK = 5;

/** Shows a job that another process or a stack runs, until it ends or its user leaves. Returns the exit code. */
export async function watchUntilEnded(target: OpenTarget, record: JobRecord): Promise<number> {
  const { address } = target;
  const { name } = record.spec;
  const watch = commandFor(address, `watch ${name}`);
  if (isInBackground()) {
    print([`${name} is running already; watch it with: ${watch}`]);
    return exitCodes.succeeded;
  }
  const interruption = listenForInterruption();
  const reporter = reporterFor(process.stdout);
  try {
    const { state, how } = await watchJob({ target, record, reporter, interruption });
    reporter.close();
    if (how === "left") {
      const cancel = commandFor(address, `cancel ${name}`);
      print([`${name} keeps running; watch it again with: ${watch}, end it with: ${cancel}`]);
      return exitCodes.interrupted;
    }
    print(outcomeLines(state, address));
    return how === "abandoned" ? exitCodes.stopped : codeOfStatus(state.status);
  } finally {
    reporter.close();
    interruption.close();
  }
}

type Watch = {
  readonly target: OpenTarget;
  readonly record: JobRecord;
  readonly reporter: Reporter;
  readonly interruption: Interruption;
};

type Watched = {
  readonly state: State;
  /** `ended`; `left`: the user interrupted the watching; `abandoned`: the process that ran the job is gone. */
  readonly how: "ended" | "left" | "abandoned";
};

async function watchJob({ target, record, reporter, interruption }: Watch): Promise<Watched> {
  const poll = await pollOf(target, record, reporter);
  const outage = new OutageTimer();
  for (let polls = 0; ; polls++) {
    try {
      const state = await poll();
      outage.reset();
      if (isEnded(state)) return { state, how: "ended" };
      if (interruption.first.aborted) return { state, how: "left" };
      if (polls % POLLS_PER_CHECK === 0 && !(await target.running()).has(record.spec.name)) {
        // It may have ended, and its runner with it, since the poll.
        const last = await poll();
        return { state: last, how: isEnded(last) ? "ended" : "abandoned" };
      }
    } catch (error) {
      if (interruption.first.aborted) throw error;
      outage.check(error);
    }
    await sleep(target.watchIntervalMs, interruption.first);
  }
}

/** Returns a function that brings what is shown up to date. */
async function pollOf(
  target: OpenTarget,
  record: JobRecord,
  reporter: Reporter,
): Promise<() => Promise<State>> {
  const { state: first } = await target.cloud.jobs.state(record.spec.name);
  const view = new JobView(target.cloud, record, Date.parse(first.createdAt));
  const workers = await target.viewWorkers(record);
  return async () => {
    const state = await view.poll(reporter, workers.seen);
    await workers.update(state, (event) => reporter.event(event));
    return state;
  };
}
