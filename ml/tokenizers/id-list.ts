/** A list of token ids that grows, in a quarter of the memory of an array of numbers. */
export class IdList {
  #values = new Uint32Array(1024);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(id: number): void {
    if (this.#length === this.#values.length) this.#grow();
    this.#values[this.#length++] = id;
  }

  clear(): void {
    this.#length = 0;
  }

  /** Valid until the next `push` or `clear`. */
  view(): Uint32Array {
    return this.#values.subarray(0, this.#length);
  }

  #grow(): void {
    const larger = new Uint32Array(2 * this.#values.length);
    larger.set(this.#values);
    this.#values = larger;
  }
}
