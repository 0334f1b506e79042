import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sha256 } from "../../protocol/digest.ts";
import { FINGERPRINTS } from "./cache-trim.ts";
import type { Dataset } from "./dataset.ts";
import { findCached } from "./dataset-cache.ts";
import type { PrepareOptions } from "./prepare-options.ts";
import { readTokenizer } from "./read-tokenizer.ts";
import type { SourceFile } from "./source-file.ts";

/**
 * The state of some files, by which the dataset that they gave the last time is found, so that they need not be
 * tokenized again. It is a saving: a dataset is named by its content, and an entry that is lost costs time only.
 */
export type Fingerprint = {
  readonly key: string;
  /** False when a file was changed so shortly before that the fingerprint could miss another change. */
  readonly settled: boolean;
};

/** Raised when the same files give another dataset than before. */
const FORMAT = 4;

/** Returns the fingerprint of the files and of everything else that the dataset depends on. */
export function fingerprintOf(
  { tokenizer, field, vocabulary, bits, masks }: PrepareOptions,
  files: readonly SourceFile[],
): Fingerprint {
  const sources = files.map(({ version, kind, part }) => [version, kind, part]);
  const isTokens = files[0]?.kind === "tokens";
  const own = typeof tokenizer === "object" && "file" in tokenizer ? readTokenizer(tokenizer.file).files : {};
  const tokenizerFiles = Object.entries(own).map(([name, bytes]) => [name, sha256(bytes)]);
  const everything = {
    FORMAT,
    sources,
    tokenizer,
    tokenizerFiles,
    field,
    masks,
    ...(isTokens ? { vocabulary, bits } : {}),
  };
  return {
    key: sha256(JSON.stringify(everything)),
    settled: files.every(({ settled }) => settled),
  };
}

/** Finds the dataset that files of this fingerprint gave; null when it is not there whole. */
export async function findRemembered(cache: string, { key }: Fingerprint): Promise<Dataset | null> {
  // An entry that can't be read costs time only.
  const digest = await readFile(join(cache, FINGERPRINTS, key), "utf8").catch(() => "");
  return /^[0-9a-f]{64}$/.test(digest) ? findCached(cache, digest) : null;
}

/** Stores which dataset files of a fingerprint gave. */
export async function remember(cache: string, { key, settled }: Fingerprint, digest: string): Promise<void> {
  if (!settled) return;
  await mkdir(join(cache, FINGERPRINTS), { recursive: true, mode: 0o700 });
  const draft = join(cache, FINGERPRINTS, `${key}.${process.pid}`);
  await writeFile(draft, digest);
  await rename(draft, join(cache, FINGERPRINTS, key));
}
