import { LRUCache } from "lru-cache";
import type { Shard } from "../../protocol/shard.ts";

const MAX_BYTES = 512 * 1024 * 1024;

/**
 * The latest shards this container committed or read, so that the next step need not fetch them. Entries stay true,
 * since a version never changes; the least recently used go first.
 */
export class ShardCache {
  readonly #shards = new LRUCache<string, Shard>({
    maxSize: MAX_BYTES,
    // A shard that is larger than the whole cache is kept alone.
    sizeCalculation: ({ file }) => Math.min(file.byteLength, MAX_BYTES),
  });

  get(job: string, shard: number, version: number): Shard | null {
    const cached = this.#shards.get(`${job}/${shard}`);
    return cached?.version === version ? cached : null;
  }

  set(job: string, shard: Shard): void {
    this.#shards.set(`${job}/${shard.shard}`, shard);
  }
}
