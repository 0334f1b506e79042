const CODES: readonly unknown[] = ["ENOENT", "ENOTDIR"];

/** True for the error of a file that is not there; one that may not be read, or is a link to itself, is there. */
export const isMissing = (error: unknown): boolean =>
  error instanceof Error && "code" in error && CODES.includes(error.code);

/** For `.catch()`: returns undefined for a file that is not there, and throws every other error. */
export function ignoreMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error;
}
