import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "../../cloud/connect.ts";
import { claim, claims, ensureEmulator, openSession, type Session } from "../../local/emulator/client.ts";
import { InvalidInput } from "../../protocol/errors.ts";
import { cacheDirectory } from "../../scripts/cache-directory.mjs";
import { program } from "./paths.ts";
import { createResources } from "./resources.ts";
import type { LocalTarget } from "./target.ts";

const REVIVE_TRIES = 10;
const REVIVE_PAUSE_MS = 300;

/** Opens the embedded target, starting its emulator and making its bucket and queues where need be. */
export async function openEmbedded(dataDir: string): Promise<LocalTarget> {
  const { endpoint } = await ensureEmulator(dataDir, program("emulator"));
  let session = await openSession(endpoint);
  const environment = await createResources({
    AWS_REGION: "us-east-1",
    AWS_ENDPOINT_URL: endpoint,
    AWS_ACCESS_KEY_ID: "local",
    AWS_SECRET_ACCESS_KEY: "local",
  });
  const cloud = connect(environment);
  return {
    kind: "embedded",
    where: `in ${dataDir}`,
    home: dataDir,
    cache: cacheDirectory(),
    cloud,
    environment,
    claim: (job) => claim(endpoint, job),
    running: async () => new Set(await claims(endpoint)),
    async revive() {
      session.close();
      session = await reopen(dataDir);
    },
    close() {
      session.close();
      cloud.close();
    },
  };
}

/** Whether jobs were ever submitted from this folder. */
export const hasJobs = (dataDir: string): boolean => existsSync(join(dataDir, "emulator.json"));

/** @throws InvalidInput when no job was ever submitted from this folder */
export function requireJobs(dataDir: string): void {
  if (hasJobs(dataDir)) return;
  throw new InvalidInput(
    `there are no jobs in ${dataDir}; go to the folder they were submitted from, set PS_DATA_DIR, or name the --stack or --endpoint-url they are on`,
  );
}

/** The emulator may be on its way out while it still answers, so one try is not enough. */
async function reopen(dataDir: string): Promise<Session> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await openSession((await ensureEmulator(dataDir, program("emulator"))).endpoint);
    } catch (error) {
      if (attempt === REVIVE_TRIES) throw error;
      await sleep(REVIVE_PAUSE_MS);
    }
  }
}
