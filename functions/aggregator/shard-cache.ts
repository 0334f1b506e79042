import { LRUCache } from "lru-cache";
import type { Shard } from "../../protocol/shard.ts";

const MAX_BYTES = 512 * 1024 * 1024;

/** What an attempt knows of a shard, another one may not use: it may have gone back to an earlier version. */
type CachedShard = { readonly job: string; readonly attempt: number; readonly shard: number };

/**
 * The latest shards this container committed or read, so that the next step need not fetch them. Entries stay true,
 * since a version never changes during an attempt; the least recently used go first.
 */
export class ShardCache {
  readonly #shards = new LRUCache<string, Shard>({
    maxSize: MAX_BYTES,
    // A shard that is larger than the whole cache is kept alone.
    sizeCalculation: ({ file }) => Math.min(file.byteLength, MAX_BYTES),
  });

  get({ job, attempt, shard }: CachedShard, version: number): Shard | null {
    const cached = this.#shards.get(`${job}/${attempt}/${shard}`);
    return cached?.version === version ? cached : null;
  }

  set({ job, attempt, shard }: CachedShard, made: Shard): void {
    this.#shards.set(`${job}/${attempt}/${shard}`, made);
  }
}
