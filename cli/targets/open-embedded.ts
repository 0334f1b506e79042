import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "../../cloud/connect.ts";
import { claim, claims, ensureEmulator, openSession } from "../../local/emulator/client.ts";
import { isPermanent } from "../../protocol/errors.ts";
import type { EmbeddedAddress } from "./address.ts";
import { openLocalTarget } from "./open-local.ts";
import { program } from "./paths.ts";
import { createResources } from "./resources.ts";
import type { LocalTarget } from "./target.ts";

const REOPEN_ATTEMPTS = 10;
const REOPEN_INTERVAL_MS = 300;
/** The end of a session is heard a little after a request has failed. */
const LOST_WITHIN_MS = 500;

/** Opens the embedded target of a folder: starts its emulator, and makes its bucket and queues where they are missing. */
export async function openEmbedded(address: EmbeddedAddress): Promise<LocalTarget> {
  const { dataDir } = address;
  const { emulator, environment, ...started } = await persist(() => start(dataDir), isPermanent);
  let { session } = started;
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
      session = await persist(async () => openSession(await ensureEmulator(dataDir, program("emulator"))));
    },
    isLost: () => Promise.race([session.lost.then(() => true), sleep(LOST_WITHIN_MS, false, { ref: false })]),
    close() {
      session.close();
      cloud.close();
    },
  });
}

async function start(dataDir: string) {
  const emulator = await ensureEmulator(dataDir, program("emulator"));
  const session = await openSession(emulator);
  try {
    const environment = await createResources({
      AWS_REGION: "us-east-1",
      AWS_ENDPOINT_URL: emulator.endpoint,
      AWS_ACCESS_KEY_ID: emulator.key.id,
      AWS_SECRET_ACCESS_KEY: emulator.key.secret,
    });
    return { emulator, session, environment };
  } catch (error) {
    session.close();
    throw error;
  }
}

/** The emulator may be on its way out while it still answers, so one attempt is not enough. */
async function persist<T>(
  attempt: () => Promise<T>,
  isFinal = (_error: unknown): boolean => false,
): Promise<T> {
  for (let attempts = 1; ; attempts++) {
    try {
      return await attempt();
    } catch (error) {
      if (attempts === REOPEN_ATTEMPTS || isFinal(error)) throw error;
      await sleep(REOPEN_INTERVAL_MS);
    }
  }
}
