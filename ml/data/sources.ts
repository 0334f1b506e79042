import { InvalidInput } from "../../protocol/errors.ts";
import { kindOf } from "./file-kind.ts";
import { type Found, localFiles } from "./local-files.ts";
import { type Candidate, selectData } from "./select-data.ts";
import type { FoundFile, LeftOut, SourceStore, Sources } from "./source-file.ts";

export { isPattern } from "./local-files.ts";

/** Files whose kind is found out at once: a request each in S3. */
const AT_ONCE = 16;

/**
 * Finds the data that paths name, in the order in which it is read: a file; all data below a directory, by name; what a
 * glob such as `corpus/*.jsonl` matches, by name. A URL names what the store of its scheme finds.
 *
 * @param name names the paths in messages
 * @param field where a document stands in an object
 * @throws InvalidInput when there is none, one can't be read or is in a form that is not read here, or tokens and texts
 * are mixed
 */
export async function findSources(
  paths: readonly string[],
  { name, field, stores = [] }: { name: string; field: string; stores?: readonly SourceStore[] | undefined },
): Promise<Sources> {
  const found: FoundFile[] = [];
  const leftOut: LeftOut[] = [];
  for (const path of paths) {
    const scheme = /^[a-z][a-z0-9+.-]+:(?=\/\/)/.exec(path)?.[0];
    const { files, leftOut: more } =
      scheme === undefined
        ? localFiles(path, paths.length === 1 ? name : path)
        : await filesOfStore(path, storeOf(scheme, stores));
    found.push(...files);
    leftOut.push(...more);
  }
  const isEmpty = (file: FoundFile) => file.bytes === 0;
  if (found.every(isEmpty)) throw new InvalidInput(`${name} is empty; give a text to train on`);
  for (const file of found.filter(isEmpty)) leftOut.push({ name: file.name, why: "it is empty" });
  const candidates = await candidatesOf(
    found.filter((file) => !isEmpty(file)),
    field,
  );
  const selected = selectData(candidates, name);
  return { files: selected.files, leftOut: [...leftOut, ...selected.leftOut] };
}

function storeOf(scheme: string, stores: readonly SourceStore[]): SourceStore {
  const store = stores.find((each) => each.scheme === scheme);
  if (store) return store;
  throw new InvalidInput(`${scheme}// can't be read here; give a file of this machine`);
}

const filesOfStore = async (url: string, store: SourceStore): Promise<Found> => ({
  files: await store.find(url),
  leftOut: [],
});

async function candidatesOf(files: readonly FoundFile[], field: string): Promise<Candidate[]> {
  const candidates: Candidate[] = [];
  for (let i = 0; i < files.length; i += AT_ONCE) {
    const some = files.slice(i, i + AT_ONCE);
    candidates.push(
      ...(await Promise.all(some.map(async (file) => ({ file, is: await kindOf(file, field) })))),
    );
  }
  return candidates;
}
