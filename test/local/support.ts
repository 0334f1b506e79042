import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { S3Client } from "@aws-sdk/client-s3";
import { SQSClient } from "@aws-sdk/client-sqs";
import { get } from "../../local/emulator/loopback.ts";

/** The script that runs the emulator. */
export const EMULATOR = fileURLToPath(new URL("../../local/emulator/main.ts", import.meta.url));

/** The key of the emulators of tests, which takes the place of a random one. */
export const KEY = { id: "test", secret: "test" };

/** Makes a folder whose emulator will know the keys of tests. Returns its path. */
export function testData(dataDir: string): string {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const keys = JSON.stringify({ [KEY.id]: KEY.secret, theirs: "theirs" });
  writeFileSync(join(dataDir, "emulator-keys.json"), keys, { mode: 0o600 });
  return dataDir;
}

/** A folder that is removed with everything in it. An emulator on it knows the keys of tests. */
export function temporaryFolder(): Disposable & { readonly path: string } {
  const path = testData(mkdtempSync(join(tmpdir(), "ps-test-")));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** The SDK's clients for an endpoint; they try once, so that tests see the first answer. */
export function clientsOf(endpoint: string): { readonly s3: S3Client; readonly sqs: SQSClient } {
  const credentials = { accessKeyId: KEY.id, secretAccessKey: KEY.secret };
  const config = { endpoint, region: "us-east-1", credentials, maxAttempts: 1 };
  return { s3: new S3Client({ ...config, forcePathStyle: true }), sqs: new SQSClient(config) };
}

/** Waits until a condition holds; fails when it does not within the deadline. */
export async function until<T>(
  what: string,
  condition: () => T | null | undefined | false | Promise<T | null | undefined | false>,
  deadlineMs = 10_000,
): Promise<T> {
  const deadline = Date.now() + deadlineMs;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== null && value !== false) return value;
    if (Date.now() > deadline) throw new Error(`Not within ${deadlineMs} ms: ${what}`);
    await sleep(10);
  }
}

/** The process id of the emulator that answers at an endpoint. */
export async function pidOf(endpoint: string, key = KEY): Promise<number> {
  const health = await json(await get(`${endpoint}/_local/health`, key));
  if (typeof health === "object" && health && "pid" in health) return Number(health.pid);
  throw new Error(`No process id in ${JSON.stringify(health)}`);
}

/** True once a process has ended. */
export function hasEnded(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}

/** The name, code and HTTP status of what an SDK call is refused with. */
export async function refusal(
  call: Promise<unknown>,
): Promise<{ readonly name: string; readonly status: number }> {
  try {
    await call;
  } catch (error) {
    if (!(error instanceof Error) || !("$metadata" in error)) throw error;
    const metadata: unknown = error.$metadata;
    const answered = typeof metadata === "object" && metadata !== null && "httpStatusCode" in metadata;
    return { name: error.name, status: answered ? Number(metadata.httpStatusCode) : 0 };
  }
  throw new Error("The call was not refused");
}
