import { existsSync } from "node:fs";
import { access, constants, statfs } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import { cacheSize } from "../../ml/data/cache-trim.ts";
import { describe } from "../../protocol/errors.ts";
import { nativeStatus } from "../../scripts/native.mjs";
import { probeBackend } from "../submission/backend.ts";
import { packageVersion } from "../submission/provenance.ts";
import type { TargetAddress } from "../targets/address.ts";
import { packageDirectory, program } from "../targets/paths.ts";
import { short } from "../terminal/format.ts";
import { existingParent } from "./existing-parent.ts";
import { examine, type Finding } from "./finding.ts";

const LITTLE_SPACE_BYTES = 1e9;

/**
 * Prints what jobs find on this machine. Returns the exit code.
 *
 * @param checkAccess finds out whether S3 and SQS of the target answer
 */
export async function doctorOfMachine(
  address: TargetAddress,
  checkAccess: () => Promise<Finding>,
): Promise<number> {
  const machine = [checkPackage, checkNode, checkMachine, checkBackend, checkNative];
  return examine([...machine, () => checkFolder(address), checkAccess], "here");
}

function checkPackage(): Finding {
  const missing = (["emulator", "functions", "worker"] as const).filter((name) => !existsSync(program(name)));
  const found = `serverless-ps ${packageVersion()} in ${packageDirectory()}`;
  if (missing.length === 0) return { grade: "good", what: "package", found };
  return {
    grade: "bad",
    what: "package",
    found: `${found}, not built: ${missing.join(", ")}`,
    fix: "npm run build",
  };
}

/** An older Node than ps-submit runs on does not come this far. */
function checkNode(): Finding {
  const found = `${process.version}, ${process.platform}-${process.arch}, ${process.execPath}`;
  return { grade: "good", what: "Node", found };
}

function checkMachine(): Finding {
  const found = `${availableParallelism()} cores, ${short(totalmem())}B of memory`;
  return { grade: "good", what: "machine", found };
}

async function checkBackend(): Promise<Finding> {
  try {
    const { name, version, device, note } = await probeBackend("auto");
    return {
      grade: note === undefined ? "good" : "poor",
      what: "backend",
      found: `${name} ${version} on ${device}`,
    };
  } catch (error) {
    return { grade: "bad", what: "backend", found: describe(error) };
  }
}

function checkNative(): Finding {
  const status = nativeStatus();
  const what = "TensorFlow";
  if (status.available)
    return { grade: "good", what, found: `native ${status.version} in ${status.directory}` };
  const found = `native library not available, about ten times slower: ${status.reason}`;
  return { grade: "poor", what, found, fix: status.fix };
}

async function checkFolder({ dataDir, cache }: TargetAddress): Promise<Finding> {
  const folder = existingParent(dataDir);
  const what = "data folder";
  try {
    await access(folder, constants.W_OK);
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize;
    const grade = free < LITTLE_SPACE_BYTES ? "poor" : "good";
    return {
      grade,
      what,
      found: `${dataDir}${existsSync(dataDir) ? "" : " (not there yet)"}, ${short(free)}B free, ${short(await cacheSize(cache))}B of tokens kept`,
    };
  } catch (error) {
    const fix = "export PS_DATA_DIR=/a/writable/folder";
    return { grade: "bad", what, found: `${dataDir} cannot be written: ${describe(error)}`, fix };
  }
}
