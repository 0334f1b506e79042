import type { Store } from "../cloud/store.ts";
import { InvalidInput } from "../protocol/errors.ts";
import { keys } from "../protocol/keys.ts";
import { checkText } from "../worker/data/batches.ts";
import { type Dataset, prepareText } from "../worker/data/text.ts";
import type { Draft } from "./job-file.ts";

/**
 * Tokenizes a job's text and checks that it is long enough; null for generated data.
 *
 * @throws InvalidInput when the text can't be trained on
 */
export function prepareDataset({ spec, textFile }: Draft): Dataset | null {
  if (textFile === null || spec.data.type !== "text") return null;
  try {
    const dataset = prepareText(textFile, `data.path ${spec.data.path}`);
    checkText(spec, dataset.meta.tokens);
    return dataset;
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    throw new InvalidInput(
      error.problems.map((problem) => `${spec.name}: ${problem}`),
      { cause: error },
    );
  }
}

/** Stores the files of a dataset under its digest, those that are not there yet. */
export async function uploadDataset(store: Store, { digest, files }: Dataset): Promise<void> {
  const there = new Set((await store.list(keys.dataset(digest, ""))).map((object) => object.key));
  for (const [name, bytes] of Object.entries(files)) {
    const key = keys.dataset(digest, name);
    if (!there.has(key)) await store.create(key, bytes);
  }
}
