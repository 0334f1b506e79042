/** The C++ sources of tfjs-node's binding: those of the development package in a clone, else those in dist/. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The sources that the build puts in the package that people install. */
export const PACKAGED_SOURCES = fileURLToPath(new URL("../dist/binding", import.meta.url));

/** The folder of the sources in a clone; undefined without development packages. */
export function developmentSources() {
  try {
    const file = createRequire(import.meta.url).resolve("@tensorflow/tfjs-node-gpu/package.json");
    return join(dirname(file), "binding");
  } catch {
    return undefined;
  }
}

/** The folder of the sources; undefined in a clone that was installed without its development packages. */
export function bindingSources() {
  if (existsSync(PACKAGED_SOURCES)) return PACKAGED_SOURCES;
  return developmentSources();
}
