import { createHash, randomUUID } from "node:crypto";
import { readFileSync, realpathSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { type AccessKey, clientKey, findKeys, isSame, tokenOf } from "./keys.ts";
import { getJson } from "./loopback.ts";

const address = z.object({ port: z.number().int().min(1).max(65_535), pid: z.number().int() });
const health = z.object({ pid: z.number().int(), dataDir: z.string(), proof: z.string() });

/** The port on which the emulator of a data folder listens or last listened, and its process. */
export type EmulatorAddress = z.infer<typeof address>;

const FILE = "emulator.json";
const PROBE_TIMEOUT_MS = 2000;

/** Finds the remembered address. A file that is absent or cannot be read is none: the emulator writes another. */
export function findAddress(dataDir: string): EmulatorAddress | null {
  try {
    return address.parse(JSON.parse(readFileSync(join(dataDir, FILE), "utf8")));
  } catch {
    return null;
  }
}

/** Remembers an address, whole or not at all. */
export function writeAddress(dataDir: string, value: EmulatorAddress): void {
  const aside = join(dataDir, `${FILE}.${value.pid}`);
  writeFileSync(aside, `${JSON.stringify(value)}\n`, { mode: 0o600 });
  renameSync(aside, join(dataDir, FILE));
}

/** Returns a port that depends on the data folder, below the range that systems give to outgoing connections. */
export function preferredPort(dataDir: string): number {
  return 20_000 + (createHash("sha256").update(realpathSync(dataDir)).digest().readUInt32BE() % 10_000);
}

export function endpointOf(port: number): string {
  return `http://127.0.0.1:${port}`;
}

/** An emulator that answers, and the key that it takes. */
export type RunningEmulator = { readonly endpoint: string; readonly key: AccessKey };

/**
 * Finds the emulator that runs on a data folder; null when none answers.
 *
 * @throws InvalidInput when others may read the folder's keys
 */
export async function findEmulator(dataDir: string): Promise<RunningEmulator | null> {
  const remembered = findAddress(dataDir);
  const keys = findKeys(dataDir);
  if (!remembered || !keys) return null;
  const [endpoint, key] = [endpointOf(remembered.port), clientKey(keys)];
  const url = `${endpoint}/_local/health?nonce=${randomUUID()}`;
  try {
    const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
    // Another program, or another folder's emulator, may have the port by now.
    const running = health.parse(await getJson(url, key, signal));
    if (!isSame(running.proof, tokenOf(key, "proof", url))) return null;
    return running.dataDir === realpathSync(dataDir) ? { endpoint, key } : null;
  } catch {
    // Nothing listens there, or what listens is no emulator.
    return null;
  }
}
