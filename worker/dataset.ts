import type { Cloud } from "../cloud/connect.ts";
import { CorruptData } from "../protocol/errors.ts";
import { keys } from "../protocol/keys.ts";
import { DATASET_FILES, type Dataset, openDataset } from "./data/text.ts";

/**
 * Fetches a dataset and checks that it is the one its name promises.
 *
 * @throws CorruptData when a file is missing or was changed
 */
export async function fetchDataset({ store }: Cloud, digest: string): Promise<Dataset> {
  const files = await Promise.all(
    DATASET_FILES.map(async (file): Promise<[string, Uint8Array]> => {
      const key = keys.dataset(digest, file);
      const stored = await store.get(key);
      if (!stored) throw new CorruptData(`${key} is missing; submit the job again to upload it`);
      return [file, stored.body];
    }),
  );
  const dataset = openDataset(Object.fromEntries(files));
  if (dataset.digest !== digest)
    throw new CorruptData(`datasets/${digest} is corrupt; remove it and submit again`);
  return dataset;
}
