import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { CorruptData, InvalidInput } from "../../protocol/errors.ts";
import { makeFolder } from "../../protocol/make-folder.ts";
import { ignoreMissing, isMissing } from "../../protocol/missing.ts";
import { isAlive, markUsed, trimCache } from "./cache-trim.ts";
import { type Dataset, openDataset } from "./dataset.ts";

/*
 * Datasets in the cache folder (scripts/cache-directory.mjs): `datasets/<digest>/` holds whole ones, whose content is checked
 * when they are opened; `drafts/` those being made; `fingerprints/` the datasets of unchanged files (source-fingerprint.ts); `users/` the
 * processes that use each (cache-trim.ts). Submitter and workers of one machine share it. Anything in it may be deleted while
 * nothing runs.
 */

const datasetDirectory = (cache: string, digest: string): string => join(cache, "datasets", digest);

/** Finds the dataset of a digest; null when it is not there whole. */
export async function findCached(cache: string, digest: string): Promise<Dataset | null> {
  const directory = datasetDirectory(cache, digest);
  if (!existsSync(directory)) return null;
  await markUsed(cache, digest);
  try {
    const dataset = await openDataset(directory);
    if (dataset.digest === digest) return dataset;
    dataset.tokens.close();
  } catch (error) {
    // Another process may be removing it.
    if (!(error instanceof CorruptData) && !isMissing(error)) throw error;
  }
  await rm(directory, { recursive: true, force: true });
  return null;
}

/**
 * Makes a dataset in a draft, and moves it into the cache once it is whole. When that fails, nothing stays behind.
 *
 * @param write fills the directory that it is given
 * @param check throws when the dataset is not to be kept
 */
export async function makeCached(
  cache: string,
  write: (directory: string) => Promise<void>,
  check: (dataset: Dataset) => void = () => {},
): Promise<Dataset> {
  const draft = join(cache, "drafts", `${process.pid}-${randomUUID()}`);
  const created = makeDraft(cache, draft);
  try {
    await sweepDrafts(cache);
    await write(draft);
    const made = await openDataset(draft);
    made.tokens.close();
    check(made);
    const published = await publish(cache, draft, made.digest);
    await trimCache(cache);
    return published;
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    if (created !== undefined) await removeEmpty(dirname(draft), created);
    throw error;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

const UNWRITABLE_CODES = ["EACCES", "EROFS", "EPERM", "ENOENT", "ENOTDIR", "EEXIST"];

function makeDraft(cache: string, draft: string): string | undefined {
  try {
    return makeFolder(draft);
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (!UNWRITABLE_CODES.includes(String(code))) throw cause;
    const fix = "export PS_CACHE_DIR=/a/writable/folder";
    throw new InvalidInput(`the cache folder ${cache} cannot be written; ${fix}`, { cause });
  }
}

/** Removes a directory and those above it up to `last`, as far as they are empty. */
async function removeEmpty(directory: string, last: string): Promise<void> {
  if (!directory.startsWith(last)) return;
  try {
    await rmdir(directory);
  } catch {
    // It is not empty, or another process was faster.
    return;
  }
  await removeEmpty(dirname(directory), last);
}

async function publish(cache: string, draft: string, digest: string): Promise<Dataset> {
  const existing = await findCached(cache, digest);
  if (existing) return existing;
  await mkdir(join(cache, "datasets"), { recursive: true, mode: 0o700 });
  await markUsed(cache, digest);
  await rename(draft, datasetDirectory(cache, digest)).catch((error: NodeJS.ErrnoException) => {
    // Another process was faster; its content is the same.
    if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
  });
  return openDataset(datasetDirectory(cache, digest));
}

/** Removes the drafts of processes that were killed. */
async function sweepDrafts(cache: string): Promise<void> {
  const drafts = await readdir(join(cache, "drafts")).catch((error) => ignoreMissing(error) ?? []);
  for (const draft of drafts) {
    if (isAlive(Number.parseInt(draft, 10))) continue;
    await rm(join(cache, "drafts", draft), { recursive: true, force: true });
  }
}
