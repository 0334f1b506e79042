import { mkdir, readdir, readFile, rename, rm, stat, statfs, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { InvalidInput } from "../../protocol/errors.ts";
import { ignoreMissing } from "../../protocol/missing.ts";

const MAX_BYTES = 20e9;

/** Name of the folder in which source-fingerprint.ts keeps its entries. */
export const FINGERPRINTS = "fingerprints";

/**
 * Returns the bytes that the datasets of a machine may take: `PS_CACHE_BYTES`, else 20 GB, or half of what the disk has for them when that is less.
 *
 * @param held bytes that they take now
 * @throws InvalidInput when the variable is no number
 */
export async function cacheLimit(
  cache: string,
  held: number,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<number> {
  const { PS_CACHE_BYTES: setting } = env;
  if (setting !== undefined && setting !== "") {
    const bytes = Number(setting);
    if (Number.isSafeInteger(bytes) && bytes >= 0) return bytes;
    throw new InvalidInput(`PS_CACHE_BYTES must be a whole number of bytes, got ${JSON.stringify(setting)}`);
  }
  const { bavail, bsize } = await statfs(cache);
  return Math.min(MAX_BYTES, (bavail * bsize + held) / 2);
}

/** Returns the bytes that the datasets in a cache take. */
export async function cacheSize(cache: string): Promise<number> {
  return (await entriesOf(cache)).reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Notes that this process uses a dataset, from now until it ends. */
export async function markUsed(cache: string, digest: string): Promise<void> {
  const folder = join(cache, "users", digest);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFile(join(folder, String(process.pid)), "");
  const now = new Date();
  await utimes(join(cache, "datasets", digest), now, now).catch(ignoreMissing);
}

/** Removes datasets until the rest fits, those not used for the longest time first, but none that a live process uses. */
export async function trimCache(cache: string): Promise<void> {
  const entries = await entriesOf(cache);
  let held = entries.reduce((sum, { bytes }) => sum + bytes, 0);
  const limit = await cacheLimit(cache, held);
  for (const { digest, bytes } of entries.sort((a, b) => a.used - b.used)) {
    if (held <= limit) return;
    if (await isUsed(cache, digest)) continue;
    await remove(cache, digest);
    held -= bytes;
  }
}

type Entry = { readonly digest: string; readonly bytes: number; readonly used: number };

async function entriesOf(cache: string): Promise<Entry[]> {
  const digests = await namesIn(join(cache, "datasets"));
  return Promise.all(
    digests.map(async (digest) => {
      const directory = join(cache, "datasets", digest);
      const files = await namesIn(directory);
      const infos = await Promise.all(files.map((file) => stat(join(directory, file)).catch(ignoreMissing)));
      const bytes = infos.reduce((sum, info) => sum + (info?.size ?? 0), 0);
      return { digest, bytes, used: (await stat(directory).catch(ignoreMissing))?.mtimeMs ?? 0 };
    }),
  );
}

async function isUsed(cache: string, digest: string): Promise<boolean> {
  const pids = await namesIn(join(cache, "users", digest));
  return pids.some((pid) => isAlive(Number(pid)));
}

/** Moves the dataset away first, so that a process that opens it meanwhile finds all of it or nothing. */
async function remove(cache: string, digest: string): Promise<void> {
  const aside = join(cache, "drafts", `${process.pid}-${digest}`);
  await mkdir(join(cache, "drafts"), { recursive: true, mode: 0o700 });
  const path = join(cache, "datasets", digest);
  if (!(await move(path, aside))) return;
  // Another process may have begun to use it since that was checked, and may even have made it anew.
  if (await isUsed(cache, digest)) {
    if (!(await move(aside, path))) await rm(aside, { recursive: true, force: true });
    return;
  }
  await rm(aside, { recursive: true, force: true });
  await rm(join(cache, "users", digest), { recursive: true, force: true });
  for (const key of await namesIn(join(cache, FINGERPRINTS))) {
    const file = join(cache, FINGERPRINTS, key);
    if ((await readFile(file, "utf8").catch(ignoreMissing)) === digest) await rm(file, { force: true });
  }
}

/** Moves a directory. @returns false when another process was faster: it is gone, or another directory is there */
async function move(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    if (["ENOENT", "ENOTEMPTY", "EEXIST"].includes((error as NodeJS.ErrnoException).code ?? "")) return false;
    throw error;
  }
}

const namesIn = (directory: string): Promise<string[]> =>
  readdir(directory).catch((error) => ignoreMissing(error) ?? []);

/** True when a process of that id runs on this machine. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
