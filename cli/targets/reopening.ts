import { isOutage } from "../../protocol/errors.ts";
import { print } from "../terminal/print.ts";
import type { OpenTarget } from "./target.ts";

/** An emulator that dies this often is not started for nothing once more. */
const MAX_OPENINGS = 5;

/**
 * Opens a target and calls `use` with it. Begins again when the emulator died meanwhile: `use` must be an act that goes
 * on where it was cut short, as a submission is.
 */
export async function withReopening<O extends Pick<OpenTarget, "isLost" | "close">, T>(
  open: () => Promise<O>,
  use: (opened: O) => Promise<T>,
): Promise<T> {
  for (let openings = 1; ; openings++) {
    const opened = await open();
    try {
      return await use(opened);
    } catch (error) {
      const mayPass = openings < MAX_OPENINGS && isOutage(error);
      if (!mayPass || !(await opened.isLost())) throw error;
      print(["the emulator is gone; starting it again"]);
    } finally {
      opened.close();
    }
  }
}
