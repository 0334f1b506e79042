import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { closeSync, fstatSync, linkSync, openSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { describe, InvalidInput } from "../../protocol/errors.ts";
import { isMissing } from "../../protocol/missing.ts";

/**
 * The access keys of a data folder's emulator, in a file that only its user can read. Whoever can read it is this
 * folder's user: it signs requests to S3 and SQS as on AWS, and proves client and emulator to each other.
 */

export type AccessKey = { readonly id: string; readonly secret: string };
/** Secrets by the ids of their keys; the first is the one that clients use. */
export type AccessKeys = ReadonlyMap<string, string>;

const FILE = "emulator-keys.json";
const schema = z.record(z.string().min(1), z.string().min(1));

/** Reads the keys of a data folder; makes a random one when there is none yet. */
export function openKeys(dataDir: string): AccessKeys {
  const found = findKeys(dataDir);
  if (found) return found;
  const aside = join(dataDir, `${FILE}.${process.pid}`);
  const key = { [`PS${randomBytes(9).toString("hex").toUpperCase()}`]: randomBytes(32).toString("hex") };
  writeFileSync(aside, `${JSON.stringify(key)}\n`, { mode: 0o600 });
  try {
    linkSync(aside, join(dataDir, FILE));
  } catch (error) {
    // Another process was first.
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  } finally {
    unlinkSync(aside);
  }
  return findKeys(dataDir) ?? openKeys(dataDir);
}

/**
 * Finds the keys of a data folder; null when it has none yet.
 *
 * @throws InvalidInput when the file is no such file, or others may read it
 */
export function findKeys(dataDir: string): AccessKeys | null {
  const path = join(dataDir, FILE);
  const text = readPrivate(path);
  if (text === null) return null;
  try {
    const keys = new Map(Object.entries(schema.parse(JSON.parse(text))));
    if (keys.size > 0) return keys;
    throw new InvalidInput("it has no key");
  } catch (cause) {
    throw new InvalidInput(`${path} has no keys of the emulator (${describe(cause)}); remove it`, { cause });
  }
}

/** Returns the key that clients use. */
export function clientKey(keys: AccessKeys): AccessKey {
  for (const [id, secret] of keys) return { id, secret };
  throw new InvalidInput("the emulator has no key");
}

function readPrivate(path: string): string | null {
  const file = openIfThere(path);
  if (file === null) return null;
  try {
    const { mode, uid } = fstatSync(file);
    if (process.getuid !== undefined && uid !== process.getuid() && process.getuid() !== 0)
      throw new InvalidInput(`${path} belongs to another user (uid ${uid}); remove it`);
    if (process.platform !== "win32" && (mode & 0o077) !== 0)
      throw new InvalidInput(
        `${path} must be readable by you only, its mode is ${(mode & 0o777).toString(8)}; remove it, a new one is made`,
      );
    return readFileSync(file, "utf8");
  } finally {
    closeSync(file);
  }
}

function openIfThere(path: string): number | null {
  try {
    return openSync(path, "r");
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

/**
 * Returns what only an owner of the key can say about a text: the `authorization` of a client's request for a URL of
 * this machine, or the emulator's `proof`. The port is in both, so that neither holds at another program's port.
 */
export const tokenOf = ({ secret }: AccessKey, kind: "request" | "proof", text: string): string =>
  createHmac("sha256", secret).update(`${kind}\n${text}`).digest("hex");

/** Compares texts in a time that depends on their lengths only. */
export function isSame(got: string, wanted: string): boolean {
  const [a, b] = [Buffer.from(got), Buffer.from(wanted)];
  return a.length === b.length && timingSafeEqual(a, b);
}
