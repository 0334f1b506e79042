import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Cloud } from "../cloud/connect.ts";
import { rereading } from "../cloud/damage.ts";
import type { Store } from "../cloud/store.ts";
import { bytesPerToken, type Dataset, META_FILE, TOKENS_FILE, textMetaSchema } from "../ml/data/dataset.ts";
import { findCached, makeCached } from "../ml/data/dataset-cache.ts";
import { TOKENIZER_FILES } from "../ml/tokenizers/tokenizer.ts";
import { CorruptData } from "../protocol/errors.ts";
import { keys } from "../protocol/keys.ts";
import { parseAs } from "../protocol/parse.ts";

/** Bytes of tokens.bin that are in memory while it is fetched. */
const PART_BYTES = 8 << 20;

/**
 * Fetches a dataset into the cache of this machine, unless it is there, and checks that its content is what its name says.
 *
 * @throws CorruptData when a file is missing or was changed
 */
export async function fetchDataset({ store }: Cloud, digest: string, cache: string): Promise<Dataset> {
  const cached = await findCached(cache, digest);
  if (cached) return cached;
  const write = (directory: string) => download(store, digest, directory);
  const check = (dataset: Dataset) => {
    if (dataset.digest === digest) return;
    const got = `its digest is ${dataset.digest}`;
    throw new CorruptData(`datasets/${digest} is corrupt: ${got}; remove it and submit again`);
  };
  return rereading(keys.dataset(digest, ""), () => makeCached(cache, write, check));
}

async function download(store: Store, digest: string, directory: string): Promise<void> {
  const metaBytes = await readFile(store, digest, META_FILE);
  const meta = parseAs(textMetaSchema, metaBytes, keys.dataset(digest, META_FILE));
  await writeFile(join(directory, META_FILE), metaBytes);
  for (const name of meta.tokenizer === "none" ? [] : TOKENIZER_FILES) {
    await writeFile(join(directory, name), await readFile(store, digest, name));
  }
  const file = await open(join(directory, TOKENS_FILE), "wx");
  const size = bytesPerToken(meta) * meta.tokens;
  try {
    for (let offset = 0; offset < size; offset += PART_BYTES) {
      const part = new Uint8Array(Math.min(PART_BYTES, size - offset));
      const key = keys.dataset(digest, TOKENS_FILE);
      if (!(await store.getInto(key, offset, part))) missing(key);
      await file.writeFile(part);
    }
  } finally {
    await file.close();
  }
}

async function readFile(store: Store, digest: string, name: string): Promise<Uint8Array> {
  const key = keys.dataset(digest, name);
  return (await store.get(key))?.body ?? missing(key);
}

function missing(key: string): never {
  throw new CorruptData(`${key} is missing; submit the job again to upload it`);
}
