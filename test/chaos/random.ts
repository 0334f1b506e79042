import { sha256 } from "../../protocol/digest.ts";
import { at } from "../../protocol/required.ts";

/** Random numbers that a seed determines. */
export class Random {
  readonly #seed: string;
  #drawn = 0;

  constructor(seed: string) {
    this.#seed = seed;
  }

  /** In [0, 1). */
  unit(): number {
    return Number.parseInt(sha256(`${this.#seed} ${this.#drawn++}`).slice(0, 12), 16) / 2 ** 48;
  }

  /** A whole number from `low` up to and including `high`. */
  whole(low: number, high: number): number {
    return low + Math.floor(this.unit() * (high - low + 1));
  }

  /** A number from `low` to `high`, small ones as likely as large ones on a logarithmic scale. */
  logarithmic(low: number, high: number): number {
    return Math.round(low * (high / low) ** this.unit());
  }

  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  of<T>(values: readonly T[]): T {
    return at(values, this.whole(0, values.length - 1), "a value");
  }

  /** Several draws, `low` to `high` of them. */
  some<T>(low: number, high: number, draw: () => T): T[] {
    return Array.from({ length: this.whole(low, high) }, draw);
  }
}
