import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const logDirectory = (home: string, job: string): string => join(home, "logs", job);

/** The bundle of a process that ps-submit starts. */
export function program(name: "emulator" | "functions" | "worker" | "backend-probe" | "ps-submit"): string {
  return join(packageDirectory(), "dist", `${name}.js`);
}

/** This package's folder, from a bundle in dist/ as from the source. */
export function packageDirectory(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, "package.json"))) directory = dirname(directory);
  return directory;
}
