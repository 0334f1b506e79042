import { CorruptData, InvalidInput } from "../../protocol/errors.ts";
import { disguiseOf } from "../../protocol/file-format.ts";
import { parseJsonBytes } from "../../protocol/json-text.ts";
import { required } from "../../protocol/required.ts";
import type { SpecialName } from "./special-tokens.ts";

/** The files of a directory by name; one that is not there is left out, or null. */
export type VocabularyFiles = Readonly<Record<string, Uint8Array | null>>;

export type Json = Readonly<Record<string, unknown>>;

/** A kind of tokenizer that has such files. */
export type VocabularyKind = {
  /** The classes of `transformers` that are of this kind. */
  readonly classes: RegExp;
  /** Written where the configuration names no class. */
  readonly defaultClass: string;
  /** The special tokens where the configuration names none. */
  readonly defaultSpecial: Json;
  /** The files, as messages name them. */
  readonly from: string;
  vocabulary(files: VocabularyFiles, directory: string): Map<string, number>;
  parts(files: VocabularyFiles, settings: Settings, directory: string): Json;
};

export type SpecialToken = { readonly content: string; readonly id: number };

export type Settings = {
  readonly config: Json;
  readonly vocab: ReadonlyMap<string, number>;
  /** Returns a special token by its name, `cls` or `bos`. */
  special(name: SpecialName): SpecialToken;
};

/** The lines of a file that is there. They may end in CR LF; the last one may end in nothing. */
export function linesOf(files: VocabularyFiles, name: string, directory: string): string[] {
  const what = `${directory}/${name}`;
  const bytes = required(files[name], what);
  const disguise = disguiseOf(bytes, what);
  if (disguise !== null) throw new InvalidInput(disguise);
  const text = decode(bytes, what);
  return text.replace(/\r?\n$/, "").split(/\r?\n/);
}

/** The object in a JSON file; empty when the file is not there or holds something else. */
export function jsonFile(files: VocabularyFiles, name: string, directory: string): Json {
  const bytes = files[name];
  return bytes ? asObject(parseJsonBytes(bytes, `${directory}/${name}`)) : {};
}

/** The value as an object; empty when it is none. */
export const asObject = (value: unknown): Json =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};

function decode(bytes: Uint8Array, what: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new CorruptData(`${what} is not UTF-8 text`, { cause });
  }
}

/** Returns the post-processor that puts tokens around a text, or around each of two. */
export function template(before: readonly SpecialToken[], after: readonly SpecialToken[]): Json {
  const token = ({ content }: SpecialToken, type_id: number) => ({ SpecialToken: { id: content, type_id } });
  const part = (id: "A" | "B", type_id: 0 | 1, start: readonly SpecialToken[]) => [
    ...start.map((each) => token(each, type_id)),
    { Sequence: { id, type_id } },
    ...after.map((each) => token(each, type_id)),
  ];
  // The start of a pair is marked once, unless the ends of its parts are not marked at all.
  const again = after.length === 0 ? before : [];
  return {
    type: "TemplateProcessing",
    single: part("A", 0, before),
    pair: [...part("A", 0, before), ...part("B", 1, again)],
    special_tokens: Object.fromEntries(
      [...before, ...after].map(({ content, id }) => [
        content,
        { id: content, ids: [id], tokens: [content] },
      ]),
    ),
  };
}
