/** A change of a line or two that breaks a promise. Some test of the files nearest to it must fail for it. */
export type Mutant = {
  readonly name: string;
  readonly file: string;
  /** Is in the file exactly once. */
  readonly find: string;
  readonly put: string;
  /** The test files nearest to the promise. */
  readonly tests: readonly string[];
};

/** The text of a file with the mutant in it. @throws when the text to find is not there exactly once */
export function mutated({ name, file, find, put }: Mutant, text: string): string {
  const found = text.split(find).length - 1;
  if (found === 1) return text.replace(find, () => put);
  throw new Error(`mutant "${name}": its text must be in ${file} once, found ${found} times: ${find}`);
}
