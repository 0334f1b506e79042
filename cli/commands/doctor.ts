import type { Target } from "../targets/target.ts";

/** `ps-submit doctor`: prints what jobs find on this machine or on a stack, and how to fix what they miss. */
export const doctor = (target: Target): Promise<number> => target.doctor();
