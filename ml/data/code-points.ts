/** A set of Unicode code points. */
export class CodePoints {
  readonly #seen = new Uint8Array(0x110000);

  add(code: number): void {
    this.#seen[code] = 1;
  }

  /** The code points of the set in ascending order. */
  list(): number[] {
    const codes: number[] = [];
    for (let code = this.#seen.indexOf(1); code !== -1; code = this.#seen.indexOf(1, code + 1))
      codes.push(code);
    return codes;
  }
}
