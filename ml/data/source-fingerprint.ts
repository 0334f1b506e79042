import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sha256 } from "../../protocol/digest.ts";
import { readTokenizer } from "./choose-tokenizer.ts";
import type { Dataset } from "./dataset.ts";
import { findCached } from "./dataset-cache.ts";
import type { PrepareOptions } from "./prepare-text.ts";
import type { SourceFile } from "./sources.ts";

/**
 * Which dataset some unchanged files gave the last time, so that they need not be tokenized again. It is a saving: a
 * dataset is named by its content, and an entry that is lost costs time only.
 */
export type Fingerprint = { readonly key: string; readonly settled: boolean };

/** Raised when the same files give another dataset than before. */
const FORMAT = 2;

/** The state of the files, and everything else that the dataset depends on. */
export function fingerprintOf(
  { tokenizer, field, vocabulary, masks }: PrepareOptions,
  files: readonly SourceFile[],
): Fingerprint {
  const sources = files.map(({ version }) => version);
  const own = typeof tokenizer === "object" && "file" in tokenizer ? readTokenizer(tokenizer.file).files : {};
  const tokenizerFiles = Object.entries(own).map(([name, bytes]) => [name, sha256(bytes)]);
  const everything = { FORMAT, sources, tokenizer, tokenizerFiles, field, vocabulary, masks };
  return {
    key: sha256(JSON.stringify(everything)),
    settled: files.every(({ settled }) => settled),
  };
}

/** The dataset that these files gave, if it is still there whole. */
export async function recall(cache: string, { key }: Fingerprint): Promise<Dataset | null> {
  const digest = await readFile(join(cache, "known", key), "utf8").catch(() => "");
  return /^[0-9a-f]{64}$/.test(digest) ? findCached(cache, digest) : null;
}

export async function remember(cache: string, { key, settled }: Fingerprint, digest: string): Promise<void> {
  if (!settled) return;
  await mkdir(join(cache, "known"), { recursive: true, mode: 0o700 });
  const aside = join(cache, "known", `${key}.${process.pid}`);
  await writeFile(aside, digest);
  await rename(aside, join(cache, "known", key));
}
