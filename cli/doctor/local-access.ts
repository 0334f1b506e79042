import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { describe } from "../../protocol/errors.ts";
import { keys } from "../../protocol/keys.ts";
import type { EmbeddedAddress, EndpointAddress } from "../targets/address.ts";
import type { LocalTarget } from "../targets/target.ts";
import { several } from "../terminal/format.ts";
import { existingParent } from "./existing-parent.ts";
import type { Finding } from "./finding.ts";

/** Checks whether S3 and SQS answer where this machine's jobs use them. */

const what = "endpoint";
const END_POLLS = 100;
const END_POLL_MS = 20;

/** Starts the emulator where jobs would; in a folder of its own beside it when there is none yet. */
export async function checkEmbedded(
  address: EmbeddedAddress,
  open: (address: EmbeddedAddress) => Promise<LocalTarget>,
): Promise<Finding> {
  const { dataDir } = address;
  let trial: string | null = null;
  try {
    if (!existsSync(dataDir)) trial = await mkdtemp(join(existingParent(dataDir), ".ps-doctor-"));
    const started = performance.now();
    return await checkOpen(
      await open({ ...address, dataDir: trial ?? dataDir }),
      async ({ cloud, environment }) => {
        await cloud.jobs.find("doctor");
        const { waiting } = await cloud.queues.depth(cloud.updates);
        const ms = (performance.now() - started).toFixed(0);
        return `${environment.AWS_ENDPOINT_URL}, embedded S3 and SQS answer (${ms} ms, ${several(waiting, "message")} waiting)`;
      },
    );
  } catch (error) {
    return { grade: "bad", what, found: describe(error) };
  } finally {
    if (trial !== null) await removeTrial(trial);
  }
}

export async function checkEndpoint(
  { endpoint }: EndpointAddress,
  open: () => Promise<LocalTarget>,
): Promise<Finding> {
  try {
    return await checkOpen(await open(), async ({ cloud }) => {
      const jobs = await cloud.store.listFolders(keys.jobs);
      const { waiting } = await cloud.queues.depth(cloud.updates);
      return `${endpoint}: S3 and SQS answer, ${several(jobs.length, "job")}, ${several(waiting, "message")} waiting`;
    });
  } catch (error) {
    return { grade: "bad", what, found: describe(error) };
  }
}

async function checkOpen(
  target: LocalTarget,
  check: (target: LocalTarget) => Promise<string>,
): Promise<Finding> {
  try {
    return { grade: "good", what, found: await check(target) };
  } finally {
    target.close();
  }
}

const emulatorFile = z.object({ pid: z.number().int() });

/** Ends the emulator of a trial, which would run on for some seconds, and removes its folder. */
async function removeTrial(directory: string): Promise<void> {
  try {
    const file: unknown = JSON.parse(readFileSync(join(directory, "emulator.json"), "utf8"));
    const { pid } = emulatorFile.parse(file);
    process.kill(pid, "SIGTERM");
    for (let polls = 0; polls < END_POLLS && isAlive(pid); polls++) await sleep(END_POLL_MS);
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
