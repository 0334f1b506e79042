import { ignoredSignals, type Signal } from "./ignored-signals.ts";

export type { Signal };

const SIGNALS: readonly Signal[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/** Ctrl-C and the system's requests to end, for a command that needs time to end in order. */
export type Interruption = {
  /** Aborted by the first signal, with its name as the reason. */
  readonly first: AbortSignal;
  /** Aborted by the second signal: end at once. A third ends the process. */
  readonly second: AbortSignal;
  /** The first signal; null before it. */
  received(): Signal | null;
  /** Restores the default effect of signals. */
  close(): void;
};

/** Signals that this process was started to ignore are no interruption. */
export function listenForInterruption(): Interruption {
  const [first, second] = [new AbortController(), new AbortController()];
  let received: Signal | null = null;
  const close = () => {
    for (const { signal, listener } of listeners) process.off(signal, listener);
  };
  const listeners = SIGNALS.filter((signal) => !ignoredSignals().has(signal)).map((signal) => {
    const listener = () => {
      if (received === null) {
        received = signal;
        return first.abort(signal);
      }
      second.abort(signal);
      close();
    };
    process.on(signal, listener);
    return { signal, listener };
  });
  return {
    first: first.signal,
    second: second.signal,
    received: () => received,
    close,
  };
}

/** Waits; ends early, without an error, when the signal is aborted. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}
