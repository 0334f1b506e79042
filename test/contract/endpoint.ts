import { randomUUID } from "node:crypto";
import { ensureEmulator, hold } from "../../local/emulator/client.ts";
import { clientsOf, EMULATOR, hasEnded, pidOf, temporaryFolder, until } from "../local/support.ts";

/**
 * What LocalStack 4.8.1 does otherwise than AWS, in words. A test that names one of these is skipped there.
 */
export const LOCALSTACK_DEVIATIONS = {
  urlEncodedPages:
    "compares encoded keys with a token that is not, and so loses keys that are not ASCII after page one",
  earlierHandle: "deletes a message with the handle of an earlier receive, even while someone else holds it",
} as const;

export type Deviation = keyof typeof LOCALSTACK_DEVIATIONS;

/** The endpoint under test: AWS_ENDPOINT_URL when it is set, else an emulator of our own. */
export async function openEndpoint() {
  const given = process.env.AWS_ENDPOINT_URL;
  if (given) {
    const localStack = await isLocalStack(given);
    const skip = (deviation: Deviation) => localStack && LOCALSTACK_DEVIATIONS[deviation];
    return { endpoint: given, ...clientsOf(given), skip, close: async () => {} };
  }
  const folder = temporaryFolder();
  const { endpoint } = await ensureEmulator(folder.path, EMULATOR);
  await hold(endpoint);
  const close = async () => {
    const pid = await pidOf(endpoint);
    process.kill(pid, "SIGTERM");
    await until("the emulator ends", () => hasEnded(pid));
    folder[Symbol.dispose]();
  };
  return { endpoint, ...clientsOf(endpoint), skip: (_: Deviation) => false, close };
}

async function isLocalStack(endpoint: string): Promise<boolean> {
  const response = await fetch(`${endpoint}/_localstack/health`).catch(() => undefined);
  await response?.text();
  return response?.ok ?? false;
}

/** A name that nothing else has. */
export function uniqueName(kind: string): string {
  return `contract-${kind}-${randomUUID().slice(0, 8)}`;
}
