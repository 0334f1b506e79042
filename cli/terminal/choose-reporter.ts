import { liveReporter } from "./live.ts";
import { plainReporter } from "./plain.ts";
import type { Reporter } from "./reporter.ts";

/** Repaints on a terminal, prints lines elsewhere. */
export function reporterFor(stream: NodeJS.WriteStream): Reporter {
  return stream.isTTY && process.env.TERM !== "dumb" ? liveReporter(stream) : plainReporter(stream);
}
