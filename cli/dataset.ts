import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Store } from "../cloud/store.ts";
import { InvalidInput } from "../protocol/errors.ts";
import { keys } from "../protocol/keys.ts";
import { checkText } from "../worker/data/batches.ts";
import { type PrepareOptions, prepareText } from "../worker/data/prepare.ts";
import { DATASET_FILES, type Dataset } from "../worker/data/text.ts";
import { isMasked } from "../worker/models/describe.ts";
import { type Draft, tokenizerOf } from "./job-file.ts";

/** Parts of an S3 multipart upload are at least 5 MiB; this is what is held in memory. */
const PART_BYTES = 8 << 20;

/**
 * Tokenizes a job's text and checks that it is long enough; null for generated data.
 *
 * @throws InvalidInput when the text can't be trained on
 */
export async function prepareDataset(
  draft: Draft,
  options: Pick<PrepareOptions, "cache" | "onProgress" | "signal">,
): Promise<Dataset | null> {
  const { spec, textFile } = draft;
  const { data } = spec;
  if (textFile === null || data.type !== "text") return null;
  try {
    return await prepareText({
      ...options,
      path: textFile,
      name: `data.path ${data.path}`,
      tokenizer: tokenizerOf(draft),
      field: data.field,
      vocabulary: data.vocabulary,
      masks: isMasked(spec),
      check: (dataset) => checkText(spec, dataset.meta.tokens),
    });
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    throw new InvalidInput(
      error.problems.map((problem) => `${spec.name}: ${problem}`),
      { cause: error },
    );
  }
}

/** Stores the files of a dataset under its digest, those that are not there yet. */
export async function uploadDataset(store: Store, { digest, directory }: Dataset): Promise<void> {
  const there = new Set((await store.list(keys.dataset(digest, ""))).map((object) => object.key));
  for (const name of DATASET_FILES) {
    const key = keys.dataset(digest, name);
    const path = join(directory, name);
    const info = await stat(path).catch(() => null);
    if (info === null || there.has(key)) continue;
    if (info.size <= PART_BYTES) await store.create(key, await readFile(path));
    else await store.createFromParts(key, parts(path));
  }
}

async function* parts(path: string): AsyncGenerator<Uint8Array> {
  for await (const part of createReadStream(path, { highWaterMark: PART_BYTES })) yield part as Uint8Array;
}
