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
  const emulator = await ensureEmulator(dataDir, program("emulator"));
  let session = await openSession(emulator);
  const environment = await createResources({
    AWS_REGION: "us-east-1",
    AWS_ENDPOINT_URL: emulator.endpoint,
    AWS_ACCESS_KEY_ID: emulator.key.id,
    AWS_SECRET_ACCESS_KEY: emulator.key.secret,
  });
  const cloud = connect(environment);
  return openLocalTarget({
    address,
    home: dataDir,
    cloud,
    environment,
    claim: (job) => claim(emulator, job),
    running: async () => new Set(await claims(emulator)),
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
      return await openSession(await ensureEmulator(dataDir, program("emulator")));
    } catch (error) {
      if (attempt === REOPEN_ATTEMPTS) throw error;
      await sleep(REOPEN_INTERVAL_MS);
    }
  }
}
