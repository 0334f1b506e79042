import { InvalidInput } from "../../protocol/errors.ts";
import type { Chunk } from "./chunk.ts";
import { parseJson, valueAt } from "./json.ts";

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

function* textsOfLines({ bytes, name, first, unit, field }: Chunk & { kind: "lines" }): Generator<string> {
  for (const [i, json] of decode(bytes, name, 0).split("\n").entries()) {
    if (json.trim() === "") continue;
    const where = `${name}: ${unit} ${first + i}`;
    const value = parseJson(json);
    if (value === undefined) throw new InvalidInput(`${where} is not JSON: ${json.slice(0, 60)}`);
    // An array of texts has a document in each.
    const text = unit === "value" && typeof value === "string" ? value : valueAt(value, field);
    if (typeof text !== "string") throw new InvalidInput(noText(where, field, value, text));
    yield wellFormed(text, where);
  }
}

function noText(where: string, field: string, value: unknown, got: unknown): string {
  const fields =
    typeof value === "object" && value !== null && !Array.isArray(value) ? Object.keys(value) : [];
  const other = got === undefined && fields.length > 0 ? `; it has ${fields.slice(0, 10).join(", ")}` : "";
  const shown = (JSON.stringify(got) ?? "nothing").slice(0, 60);
  return `${where} must have a text in "${field}", got ${shown}${other}`;
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
      `${name} is not UTF-8 text (near byte ${offset + firstInvalid(bytes)}); ${adviceOn(bytes)}`,
      { cause },
    );
  }
}

/** A text of an older encoding has no zero bytes; what has them is no text. */
const adviceOn = (bytes: Uint8Array): string =>
  bytes.includes(0)
    ? "it holds binary data; give a text, .jsonl, .json, .parquet or .bin file"
    : `if it is of an older encoding, convert it from that, such as Windows-1252: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW`;

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
