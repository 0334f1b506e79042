import type { Shard } from "../../protocol/shard.ts";

const MAX_BYTES = 512 * 1024 * 1024;

/**
 * The latest shards this container committed or read, so that the next step need not fetch them. Entries are true
 * for ever, since a version never changes; the least recently used go first.
 */
export class ShardCache {
  readonly #shards = new Map<string, Shard>();
  #bytes = 0;

  get(job: string, shard: number, version: number): Shard | null {
    const found = this.#shards.get(`${job}/${shard}`);
    return found?.version === version ? found : null;
  }

  set(job: string, shard: Shard): void {
    const key = `${job}/${shard.shard}`;
    this.#drop(key);
    this.#shards.set(key, shard);
    this.#bytes += shard.file.byteLength;
    for (const oldest of this.#shards.keys()) {
      if (this.#bytes <= MAX_BYTES || this.#shards.size === 1) break;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    this.#bytes -= this.#shards.get(key)?.file.byteLength ?? 0;
    this.#shards.delete(key);
  }
}
