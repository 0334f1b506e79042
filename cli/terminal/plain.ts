import type { Progress } from "./progress.ts";
import { describeBackend, describeWorkers, modelLabel, renderLine } from "./render.ts";
import type { Reporter } from "./reporter.ts";

const LINE_EVERY_MS = 2000;
const LINE_EVERY_SHARE = 0.05;

/** Prints lines that `grep` and log collectors can read: one every 2 seconds or every twentieth of the job. */
export function plainReporter(stream: { write(text: string): unknown }, now = Date.now): Reporter {
  let shown = { at: 0, version: 0, activity: "", others: "", hasHeading: false };
  let latest: Progress | null = null;
  const line = (text: string) => stream.write(`${text}\n`);
  const step = (progress: Progress) => {
    shown = { ...shown, at: now(), version: progress.state?.version ?? 0 };
    line(renderLine(progress));
  };
  return {
    event: line,
    update(progress) {
      latest = progress;
      if (!shown.hasHeading) {
        line(`${progress.job}: ${modelLabel(progress.record)}, ${describeBackend(progress.record)}`);
        shown = { ...shown, hasHeading: true, version: progress.state?.version ?? 0, at: now() };
      }
      const { workers } = progress;
      if (workers?.others !== undefined && workers.others !== shown.others) line(describeWorkers(workers));
      shown = { ...shown, others: workers?.others ?? shown.others };
      if (progress.recent.length === 0) {
        if (progress.activity !== "" && progress.activity !== shown.activity)
          line(`${progress.activity} ...`);
        shown = { ...shown, activity: progress.activity };
      } else if (isDue(progress, shown, now())) step(progress);
    },
    close() {
      if (latest && latest.recent.length > 0 && latest.state?.version !== shown.version) step(latest);
      latest = null;
    },
  };
}

function isDue(progress: Progress, shown: { at: number; version: number }, now: number): boolean {
  const version = progress.state?.version ?? 0;
  const steps = progress.state?.steps ?? progress.record.spec.steps;
  if (version === shown.version) return false;
  return now - shown.at >= LINE_EVERY_MS || version - shown.version >= steps * LINE_EVERY_SHARE;
}
