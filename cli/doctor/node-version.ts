import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { packageFile } from "../submission/provenance.ts";

/** The reason why ps-submit does not run on this Node, with what to do about it; null when it runs. */
export function findNodeProblem(version = process.versions.node): string | null {
  const oldest = packageFile().engines.node.replace(/^>=/, "");
  if (!isOlder(version, oldest)) return null;
  const fix = ownNodeIsInstalled()
    ? "Start it with npx ps-submit, which takes the Node that was installed with it"
    : "npm was kept from installing the one that comes with ps-submit. " +
      "Run: npm rebuild node --ignore-scripts=false, then npx ps-submit again";
  return `Node ${oldest} or newer is needed, this is ${version}. ${fix}`;
}

function isOlder(version: string, oldest: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = oldest.split(".").map(Number);
  return major < oldestMajor || (major === oldestMajor && minor < oldestMinor);
}

/** Whether the install script of the package `node` ran: it brings the program. */
function ownNodeIsInstalled(): boolean {
  try {
    const file = createRequire(import.meta.url).resolve("node/package.json");
    return existsSync(join(dirname(file), "bin", "node"));
  } catch {
    return false; // The package itself is missing.
  }
}
