type Waiting = { readonly bytes: number; readonly enter: () => void };

/**
 * Lets in only as much work at once as memory allows, in the order it came: one batch of messages may be for ten
 * shards, and a function has no memory for all their pieces. Work that is too large by itself goes in alone.
 */
export class MemoryGate {
  readonly #limit: number;
  #inside = 0;
  #held = 0;
  readonly #waiting: Waiting[] = [];

  /** @param limit in bytes */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Does work that needs `bytes` of memory, once they are free. */
  async pass<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    await this.#enter(bytes);
    try {
      return await work();
    } finally {
      this.#leave(bytes);
    }
  }

  async #enter(bytes: number): Promise<void> {
    if (this.#waiting.length === 0 && this.#fits(bytes)) return this.#take(bytes);
    await new Promise<void>((enter) => {
      this.#waiting.push({ bytes, enter });
    });
  }

  #fits(bytes: number): boolean {
    return this.#inside === 0 || this.#held + bytes <= this.#limit;
  }

  #take(bytes: number): void {
    this.#inside++;
    this.#held += bytes;
  }

  #leave(bytes: number): void {
    this.#inside--;
    this.#held -= bytes;
    for (let [next] = this.#waiting; next && this.#fits(next.bytes); [next] = this.#waiting) {
      this.#waiting.shift();
      this.#take(next.bytes);
      next.enter();
    }
  }
}
