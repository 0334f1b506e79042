import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "../../cloud/connect.ts";
import { claim, claims, ensureEmulator, openSession, type Session } from "../../local/emulator/client.ts";
import type { EmbeddedAddress } from "./address.ts";
import { openLocalTarget } from "./open-local.ts";
import { program } from "./paths.ts";
import { createResources } from "./resources.ts";
import type { LocalTarget } from "./target.ts";

const REOPEN_ATTEMPTS = 10;
const REOPEN_INTERVAL_MS = 300;

/** Opens the embedded target of a folder: starts its emulator, and makes its bucket and queues where they are missing. */
export async function openEmbedded(address: EmbeddedAddress): Promise<LocalTarget> {
  const { dataDir } = address;
  const { endpoint } = await ensureEmulator(dataDir, program("emulator"));
  let session = await openSession(endpoint);
  const environment = await createResources({
    AWS_REGION: "us-east-1",
    AWS_ENDPOINT_URL: endpoint,
    AWS_ACCESS_KEY_ID: "local",
    AWS_SECRET_ACCESS_KEY: "local",
  });
  const cloud = connect(environment);
  return openLocalTarget({
    address,
    home: dataDir,
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
  });
}

/** The emulator may be on its way out while it still answers, so one attempt is not enough. */
async function reopen(dataDir: string): Promise<Session> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await openSession((await ensureEmulator(dataDir, program("emulator"))).endpoint);
    } catch (error) {
      if (attempt === REOPEN_ATTEMPTS) throw error;
      await sleep(REOPEN_INTERVAL_MS);
    }
  }
}
