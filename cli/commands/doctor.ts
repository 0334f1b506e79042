import { existsSync, readFileSync } from "node:fs";
import { access, constants, mkdtemp, rm, statfs } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cacheSize } from "../../ml/data/cache-trim.ts";
import { describe } from "../../protocol/errors.ts";
import { keys } from "../../protocol/keys.ts";
import { cacheDirectory } from "../../scripts/cache-directory.mjs";
import { nativeStatus } from "../../scripts/native.mjs";
import { examine, type Finding } from "../doctor/finding.ts";
import { probeBackend } from "../submission/backend.ts";
import { packageVersion } from "../submission/provenance.ts";
import { type Place, placeOf } from "../targets/address.ts";
import { openEmbedded } from "../targets/embedded.ts";
import { dataDirectory, packageDirectory, program } from "../targets/paths.ts";
import { openTarget } from "../targets/target.ts";
import { several, short } from "../terminal/format.ts";

const OLDEST_NODE = [22, 18] as const;
const LITTLE_SPACE_BYTES = 1e9;

/** `ps-submit doctor`: what jobs find on this machine or on a stack, and what to do about it. */
export async function doctor(): Promise<number> {
  const place = placeOf();
  if (place.kind === "stack") return (await import("../doctor/stack-doctor.ts")).doctorOfStack(place.name);
  const machine = [checkPackage, checkNode, checkMachine, checkBackend, checkNative, checkFolder];
  const endpoint = place.kind === "endpoint" ? () => checkOther(place) : checkEndpoint;
  return examine([...machine, endpoint], "here");
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

function checkNode(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const [oldest, oldestMinor] = OLDEST_NODE;
  const enough = major > oldest || (major === oldest && minor >= oldestMinor);
  const found = `${process.version}, ${process.platform}-${process.arch}, ${process.execPath}`;
  if (enough) return { grade: "good", what: "Node", found };
  return { grade: "bad", what: "Node", found, fix: "npm ci (brings its own), then start with npx ps-submit" };
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
    return { grade: "bad", what: "backend", found: describe(error), fix: "npm ci" };
  }
}

function checkNative(): Finding {
  const { available, version, directory, reason, fix } = nativeStatus();
  const what = "TensorFlow";
  if (available)
    return { grade: "good", what, found: `native ${version ?? ""} in ${directory ?? "the package"}` };
  return {
    grade: "poor",
    what,
    found: `native library not available, about ten times slower: ${reason}`,
    fix,
  };
}

async function checkFolder(): Promise<Finding> {
  const dataDir = dataDirectory();
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
      found: `${dataDir}${existsSync(dataDir) ? "" : " (not there yet)"}, ${short(free)}B free, ${short(await cacheSize(cacheDirectory()))}B of tokens kept`,
    };
  } catch (error) {
    const fix = "export PS_DATA_DIR=/a/writable/folder";
    return { grade: "bad", what, found: `${dataDir} cannot be written: ${describe(error)}`, fix };
  }
}

function existingParent(directory: string): string {
  return existsSync(directory) ? directory : existingParent(dirname(directory));
}

/** Starts the emulator where jobs would; in a folder of its own beside it when there is none yet. */
async function checkEndpoint(): Promise<Finding> {
  const dataDir = dataDirectory();
  const what = "endpoint";
  let trial: string | null = null;
  try {
    if (!existsSync(dataDir)) trial = await mkdtemp(join(existingParent(dataDir), ".ps-doctor-"));
    const started = performance.now();
    const target = await openEmbedded(trial ?? dataDir);
    try {
      await target.cloud.jobs.find("doctor");
      const { waiting } = await target.cloud.queues.depth(target.cloud.updates);
      const ms = (performance.now() - started).toFixed(0);
      const found = `${target.environment.AWS_ENDPOINT_URL}, embedded S3 and SQS answer (${ms} ms, ${several(waiting, "message")} waiting)`;
      return { grade: "good", what, found };
    } finally {
      target.close();
    }
  } catch (error) {
    return { grade: "bad", what, found: describe(error) };
  } finally {
    if (trial !== null) await removeTrial(trial);
  }
}

async function checkOther(place: Extract<Place, { kind: "endpoint" }>): Promise<Finding> {
  try {
    const target = await openTarget(place);
    try {
      const jobs = await target.cloud.store.listFolders(keys.jobs);
      const { waiting } = await target.cloud.queues.depth(target.cloud.updates);
      const found = `${place.endpoint}: S3 and SQS answer, ${several(jobs.length, "job")}, ${several(waiting, "message")} waiting`;
      return { grade: "good", what: "endpoint", found };
    } finally {
      target.close();
    }
  } catch (error) {
    return { grade: "bad", what: "endpoint", found: describe(error) };
  }
}

async function removeTrial(directory: string): Promise<void> {
  try {
    const { pid } = JSON.parse(readFileSync(join(directory, "emulator.json"), "utf8")) as { pid: number };
    process.kill(pid, "SIGTERM");
    for (let looks = 0; looks < 100 && isAlive(pid); looks++) await sleep(20);
  } catch {
    // It did not start, or has ended already.
  }
  await rm(directory, { recursive: true, force: true });
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
