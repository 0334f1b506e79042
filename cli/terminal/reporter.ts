import type { Progress } from "./progress.ts";

/** Shows the progress of a job. */
export type Reporter = {
  /** Prints an event, above what is repainted. */
  event(text: string): void;
  update(progress: Progress): void;
  /** Leaves the last state on the screen and restores the cursor. */
  close(): void;
};
