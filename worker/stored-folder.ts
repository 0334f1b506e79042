import type { Store } from "../cloud/store.ts";
import type { Folder } from "../ml/huggingface/folder.ts";
import { CorruptData } from "../protocol/errors.ts";
import { keys } from "../protocol/keys.ts";

/** Opens the Hugging Face directory of a digest. @throws CorruptData when nothing is stored under the digest */
export async function storedFolder(store: Store, digest: string): Promise<Folder> {
  const prefix = keys.pretrained(digest, "");
  const sizes = new Map((await store.list(prefix)).map(({ key, size }) => [key.slice(prefix.length), size]));
  if (sizes.size === 0) throw new CorruptData(`${prefix} is missing; submit the job again to upload it`);
  return {
    name: prefix,
    async readSmall(file, limit) {
      const size = sizes.get(file);
      if (size === undefined) return null;
      if (size > limit) throw new CorruptData(`${prefix}${file} must be at most ${limit} bytes, got ${size}`);
      return (await store.get(`${prefix}${file}`))?.body ?? null;
    },
    async open(file) {
      const size = sizes.get(file);
      const key = `${prefix}${file}`;
      if (size === undefined) return null;
      return {
        name: key,
        size,
        async read(into, position) {
          // S3 has no empty ranges.
          if (into.length === 0) return;
          if (!(await store.getInto(key, position, into))) throw new CorruptData(`${key} is missing`);
        },
        async close() {},
      };
    },
  };
}
