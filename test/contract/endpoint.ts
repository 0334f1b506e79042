import { randomUUID } from "node:crypto";
import type { S3Client } from "@aws-sdk/client-s3";
import type { SQSClient } from "@aws-sdk/client-sqs";
import { ensureEmulator, openSession } from "../../local/emulator/client.ts";
import { clientsOf, EMULATOR, hasEnded, pidOf, temporaryFolder, until } from "../local/support.ts";
import { type Deviation, deviationOf, type Kind } from "./deviations.ts";

/** An S3 and SQS under test. */
export type Endpoint = {
  readonly s3: S3Client;
  readonly sqs: SQSClient;
  /** Options of a row that a known deviation breaks here; it must then fail, and in the known way. */
  deviates(deviation: Deviation): { readonly expectFailure?: object };
  close(): Promise<void>;
};

/** Somebody else's endpoint, which is left running. */
export function endpointAt(
  endpoint: string,
  kind: Kind,
  close: () => Promise<void> = async () => {},
): Endpoint {
  return { ...clientsOf(endpoint), deviates: (deviation) => deviationOf(kind, deviation), close };
}

/** An emulator of our own, in a folder of its own. */
export async function openEmbedded(): Promise<Endpoint> {
  const folder = temporaryFolder();
  const emulator = await ensureEmulator(folder.path, EMULATOR);
  const { endpoint } = emulator;
  await openSession(emulator);
  return endpointAt(endpoint, "embedded", async () => {
    const pid = await pidOf(endpoint);
    process.kill(pid, "SIGTERM");
    await until("the emulator ends", () => hasEnded(pid));
    folder[Symbol.dispose]();
  });
}

/** What answers at an endpoint, as far as it tells. */
export async function kindOf(endpoint: string): Promise<Kind> {
  const answers = async (path: string, wanted = [200]) => {
    const response = await fetch(`${endpoint}${path}`).catch(() => undefined);
    await response?.text();
    return response !== undefined && wanted.includes(response.status);
  };
  if (await answers("/_ministack/health")) return "ministack";
  if (await answers("/_localstack/health")) return "localstack";
  return (await answers("/_local/health", [403])) ? "embedded" : "aws";
}

/** A name that nothing else has. */
export function uniqueName(kind: string): string {
  return `contract-${kind}-${randomUUID().slice(0, 8)}`;
}
