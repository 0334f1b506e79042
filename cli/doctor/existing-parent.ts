import { existsSync } from "node:fs";
import { dirname } from "node:path";

/** Returns the nearest folder above a path that exists; the path itself when it does. */
export function existingParent(path: string): string {
  return existsSync(path) ? path : existingParent(dirname(path));
}
