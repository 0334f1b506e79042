import { liveReporter } from "./live.ts";
import { plainReporter } from "./plain.ts";
import type { Progress } from "./progress.ts";

/** Shows a job as it goes. */
export type Reporter = {
  /** Something that happened, to stay readable above what changes. */
  event(text: string): void;
  update(progress: Progress): void;
  /** Leaves the screen in order; the last state stays. */
  close(): void;
};

/** Repaints on a terminal, prints lines elsewhere. */
export function reporterFor(stream: NodeJS.WriteStream): Reporter {
  return stream.isTTY && process.env.TERM !== "dumb" ? liveReporter(stream) : plainReporter(stream);
}
