import type { PrepareOptions, Progress } from "../../ml/data/prepare-options.ts";
import { listenForInterruption, type Signal } from "../terminal/interruption.ts";

/** A text that is tokenized sooner shows no progress. */
const SHOW_AFTER_MS = 500;
const FRAME_MS = 100;

type Watching = Pick<PrepareOptions, "onProgress" | "signal">;

/**
 * Tokenizes with progress on one line of the terminal, which is cleared at the end. Returns the signal of a user's
 * interruption.
 */
export async function withTokenizingProgress<T>(
  work: (watching: Watching) => Promise<T>,
): Promise<{ readonly done: T } | { readonly signal: Signal }> {
  const interruption = listenForInterruption();
  const line = progressLine(process.stderr);
  try {
    return { done: await work({ onProgress: line.show, signal: interruption.first }) };
  } catch (error) {
    const signal = interruption.received();
    if (signal === null) throw error;
    return { signal };
  } finally {
    line.clear();
    interruption.close();
  }
}

function progressLine(stream: NodeJS.WriteStream) {
  let next = Date.now() + SHOW_AFTER_MS;
  let shown = false;
  return {
    show({ what, share }: Progress): void {
      if (!stream.isTTY || Date.now() < next) return;
      next = Date.now() + FRAME_MS;
      shown = true;
      stream.write(`\r\x1b[K  ${what} ${Math.floor(100 * share)} %`);
    },
    clear(): void {
      if (shown) stream.write("\r\x1b[K");
    },
  };
}
