import { CorruptData, InvalidInput } from "./errors.ts";
import { disguiseOf, withoutMark } from "./file-format.ts";

/**
 * Returns the JSON value that a file holds. A byte order mark before it is skipped.
 *
 * @param what names the file in errors
 * @throws InvalidInput for a file that is something else, such as a Git LFS pointer
 * @throws CorruptData for anything else that is not JSON
 */
export function parseJsonBytes(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(withoutMark(bytes)));
  } catch (cause) {
    const disguise = disguiseOf(bytes, what);
    if (disguise !== null) throw new InvalidInput(disguise, { cause });
    throw new CorruptData(`${what} is not JSON`, { cause });
  }
}
