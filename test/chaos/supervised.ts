import type { ChildProcess } from "node:child_process";
import { kill } from "../support/lab.ts";

/** A process that is started anew each time it dies. */
export type Supervised = {
  current(): ChildProcess;
  /** How often it was killed. */
  deaths(): number;
  end(): Promise<void>;
};

/** @param start is told whether it starts the first process */
export function supervise(start: (isFirst: boolean) => ChildProcess): Supervised {
  let hasEnded = false;
  let deaths = 0;
  let child = start(true);
  const watch = () =>
    child.once("exit", (_code, signal) => {
      if (hasEnded) return;
      if (signal === "SIGKILL") deaths++;
      child = start(false);
      watch();
    });
  watch();
  return {
    current: () => child,
    deaths: () => deaths,
    async end() {
      hasEnded = true;
      await kill(child);
    },
  };
}
