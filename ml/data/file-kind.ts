import { extname } from "node:path";
import { InvalidInput } from "../../protocol/errors.ts";
import { FORMAT_BYTES, formatOf, withoutMark } from "../../protocol/file-format.ts";
import { parseJson, valueAt } from "./json.ts";
import type { FoundFile, SourceKind } from "./source-file.ts";
import { isTokenHeader } from "./token-format.ts";

/** What a file is; `other` says why it holds nothing to train on. */
export type FileKind = { readonly kind: SourceKind } | { readonly kind: "other"; readonly why: string };

/** What the name of a file promises. */
const PROMISED: Readonly<Record<string, SourceKind>> = {
  ".jsonl": "lines",
  ".ndjson": "lines",
  ".jsonlines": "lines",
  ".json": "json",
  ".parquet": "parquet",
  ".bin": "tokens",
};

/** Files that hold no texts, by their names: their first bytes may be anything. */
const NO_DATA: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries({
    "a Python pickle": ".pkl .pickle .pt .pth",
    "the index of other data": ".idx .index .lock",
    "an image, a sound or a film": ".png .jpg .jpeg .gif .webp .wav .mp3 .mp4",
  }).flatMap(([what, endings]) => endings.split(" ").map((ending) => [ending, what])),
);

/** Numbers look like these by chance, so a .bin file takes a longer proof. */
const SHORT_MARKS = /^UTF-|pickle|JPEG/;

/**
 * Returns what a file is: by its first bytes, and by its name where these do not tell. This is the one place that
 * decides it.
 *
 * @param field where a document stands in an object
 * @throws InvalidInput for data in a form that is not read here, such as compressed data, with what to do
 */
export async function kindOf(file: FoundFile, field: string): Promise<FileKind> {
  const start = await file.readStart(FORMAT_BYTES);
  const promised = PROMISED[extname(file.relative).toLowerCase()] ?? "text";
  if (isTokenHeader(start)) return { kind: "tokens" };
  const format = formatOf(start);
  const isProven = format !== null && !(promised === "tokens" && SHORT_MARKS.test(format.what));
  const isPage = format?.what === "an HTML page" && /\.x?html?$/i.test(file.relative);
  if (isProven && !isPage) {
    if (!format.isData && !file.given) return { kind: "other", why: `it is ${format.what}` };
    throw new InvalidInput(`${file.name} is ${format.what}; ${format.fix(file.path)}`);
  }
  const named = NO_DATA[extname(file.relative).toLowerCase()];
  if (!file.given && named !== undefined) return { kind: "other", why: `it is ${named}, by its name` };
  if (!file.given && isCard(file, start)) return { kind: "other", why: "it is a card of Hugging Face" };
  if (promised === "parquet" || (promised !== "tokens" && isParquet(start))) return { kind: "parquet" };
  if (promised === "tokens") return { kind: tokensOf(file, start) };
  return jsonKindOf(file, start, promised, field);
}

const isParquet = (start: Uint8Array): boolean =>
  start.length > 12 && Buffer.from(start.subarray(0, 4)).toString() === "PAR1";

/** A README with the fields that Hugging Face reads of it. */
function isCard({ relative }: FoundFile, start: Uint8Array): boolean {
  if (!/(^|\/)readme\.md$/i.test(relative)) return false;
  const [, fields = ""] =
    /^---\r?\n(.*?)\n---/s.exec(Buffer.from(withoutMark(start)).toString("latin1")) ?? [];
  return /^(license|language|tags|task_categories|dataset_info|pretty_name|configs|size_categories)\s*:/m.test(
    fields,
  );
}

/** Fewer bytes than this may be letters by chance. */
const MIN_LETTERS = 64;

function tokensOf({ name }: FoundFile, start: Uint8Array): "tokens" {
  const isLetters = start.every(
    (byte) => byte === 9 || byte === 10 || byte === 13 || (byte >= 32 && byte < 127),
  );
  if (start.length < MIN_LETTERS || !isLetters) return "tokens";
  throw new InvalidInput(`${name} is text, and .bin is for tokens; name it .txt`);
}

function jsonKindOf(file: FoundFile, bytes: Uint8Array, promised: SourceKind, field: string): FileKind {
  const start = new TextDecoder().decode(withoutMark(bytes)).trimStart();
  const isWhole = file.bytes <= bytes.length;
  if (promised === "json") {
    if (start === "") return { kind: "text" };
    if (!/^[[{]/.test(start)) {
      throw new InvalidInput(
        `${file.name} must hold an array or objects of JSON; name it .txt if it is a text`,
      );
    }
    if (areLines(start, isWhole, true)) return { kind: "lines" };
    return isWhole && !file.given ? objectKind(start, field) : { kind: "json" };
  }
  if (ARRAY.test(start)) return { kind: "json" };
  if (promised === "lines") return { kind: /^[[{]\s*\n/.test(start) ? "json" : "lines" };
  return { kind: areLines(start, isWhole, false) ? "lines" : "text" };
}

/** An array of objects. Other texts may begin with a bracket. */
const ARRAY = /^\[\s*\{\s*"(?:[^"\\\n]|\\.)*"\s*:/;
const OBJECT = /^\{\s*"(?:[^"\\\n]|\\.)*"\s*:/;

/** True when the first line is an object by itself, and, with `several`, another begins after it. */
function areLines(start: string, isWhole: boolean, several: boolean): boolean {
  const end = start.indexOf("\n");
  if (end === -1 && !isWhole) return !several && OBJECT.test(start);
  const [first, rest] = end === -1 ? [start, ""] : [start.slice(0, end), start.slice(end)];
  return isObject(parseJson(first)) && (!several || /^\s*\{/.test(rest));
}

/** A lone object in a folder is a document when it has the field, else a description of the data. */
function objectKind(start: string, field: string): FileKind {
  const value = parseJson(start);
  if (!isObject(value) || valueAt(value, field) !== undefined) return { kind: "json" };
  return { kind: "other", why: `it is one JSON object without "${field}"` };
}

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value);
