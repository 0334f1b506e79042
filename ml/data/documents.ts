import { InvalidInput } from "../../protocol/errors.ts";
import type { Chunk } from "./chunk.ts";

/** A document, or a part of one. */
export type Part = { readonly text: string; readonly ends: boolean };

/**
 * Returns the documents of a chunk; empty ones are left out.
 *
 * @throws InvalidInput for bytes that are not UTF-8, a line that is not JSON, or an object without a text
 */
export function* partsOf(chunk: Chunk): Generator<Part> {
  if (chunk.kind === "text") {
    const text = decode(chunk.bytes, chunk.name, chunk.offset);
    if (text !== "") yield { text, ends: chunk.ends };
  } else if (chunk.kind === "lines") {
    for (const text of textsOfLines(chunk)) if (text !== "") yield { text, ends: true };
  } else {
    for (const text of chunk.texts) if (text !== "") yield { text: wellFormed(text, "a row"), ends: true };
  }
}

function* textsOfLines({ bytes, name, line, field }: Chunk & { kind: "lines" }): Generator<string> {
  for (const [i, json] of decode(bytes, name, 0).split("\n").entries()) {
    if (json.trim() === "") continue;
    const where = `${name}: line ${line + i}`;
    const value = parse(json, where);
    const text = (value as Record<string, unknown> | null)?.[field];
    if (typeof text !== "string") {
      throw new InvalidInput(
        `${where} must have a text in "${field}", got ${JSON.stringify(text) ?? "nothing"}`,
      );
    }
    yield wellFormed(text, where);
  }
}

function parse(json: string, where: string): unknown {
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new InvalidInput(`${where} is not JSON: ${json.slice(0, 60)}`, { cause });
  }
}

function wellFormed(text: string, where: string): string {
  if (text.isWellFormed()) return text;
  throw new InvalidInput(`${where} holds half of a surrogate pair, which is no character`);
}

/** Keeps a byte order mark, which is text too. */
function decode(bytes: Uint8Array, name: string, offset: number): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new InvalidInput(
      `${name} is not UTF-8 text (near byte ${offset + firstInvalid(bytes)}); convert it, ` +
        "for example with: iconv -f ISO-8859-1 -t UTF-8",
      { cause },
    );
  }
}

/** Returns an offset in invalid bytes such that all before it is valid, found by halving. */
function firstInvalid(bytes: Uint8Array): number {
  let valid = 0;
  let end = bytes.length;
  while (end - valid > 1) {
    const middle = (valid + end) >>> 1;
    if (isPrefixValid(bytes.subarray(0, middle))) valid = middle;
    else end = middle;
  }
  return valid;
}

function isPrefixValid(bytes: Uint8Array): boolean {
  try {
    // As a stream: a character cut by the end is not an error.
    new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}
