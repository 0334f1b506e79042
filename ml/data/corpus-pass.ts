import { forEachWord } from "../tokenizers/gpt2-words.ts";
import { IdList } from "../tokenizers/id-list.ts";
import { openTokenizer } from "../tokenizers/open-tokenizer.ts";
import type { TokenizerFiles } from "../tokenizers/tokenizer.ts";
import type { Chunk } from "./chunk.ts";
import { CodePoints } from "./code-points.ts";
import type { TokenType } from "./dataset.ts";
import { partsOf } from "./documents.ts";

/** One reading of all chunks and its purpose; plain data, so that a thread can do it. */
export type Pass =
  /** Which code points there are. */
  | { readonly kind: "characters"; readonly separator: Separator }
  /** How often each word occurs. */
  | { readonly kind: "words" }
  | {
      readonly kind: "encode";
      readonly files: TokenizerFiles;
      readonly type: TokenType;
      readonly separator: Separator;
    };

/** After each document: the id of the end-of-text token, a line break where the document has none, or nothing. */
export type Separator = number | "newline" | "nothing";

/** The documents that end in a chunk, and its bytes of text. */
export type Counted = { readonly documents: number; readonly bytes: number };
export type Characters = Counted & { readonly codes: Uint32Array<ArrayBuffer> };
export type Words = Counted & { readonly words: string[]; readonly counts: Float64Array<ArrayBuffer> };
export type Encoded = Counted & { readonly ids: Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer> };

/** The result of each kind of pass for a chunk. */
export type Results = { characters: Characters; words: Words; encode: Encoded };
export type ResultOf<P extends Pass> = Results[P["kind"]];
export type AnyResult = Results[Pass["kind"]];

/** Returns the function that a pass applies to each chunk. */
export function stepOf(pass: Pass): (chunk: Chunk) => AnyResult {
  if (pass.kind === "characters") return (chunk) => charactersOf(chunk, pass.separator);
  if (pass.kind === "words") return wordsOf;
  const tokenizer = openTokenizer(pass.files, "tokenizer.json");
  const TypedArray = pass.type === "uint16" ? Uint16Array : Uint32Array;
  const ids = new IdList();
  return (chunk) => {
    ids.clear();
    const counted = forEachPart(chunk, (text, ends) => {
      tokenizer.encodeTo(text, ids);
      if (!ends) return;
      if (typeof pass.separator === "number") ids.push(pass.separator);
      else if (needsBreak(text, pass.separator)) tokenizer.encodeTo("\n", ids);
    });
    return { ...counted, ids: new TypedArray(ids.view()) };
  };
}

const needsBreak = (text: string, separator: Separator): boolean =>
  separator === "newline" && !text.endsWith("\n");

function forEachPart(chunk: Chunk, visit: (text: string, ends: boolean) => void): Counted {
  let documents = 0;
  let bytes = 0;
  for (const { text, ends } of partsOf(chunk)) {
    visit(text, ends);
    bytes += Buffer.byteLength(text);
    if (ends) documents++;
  }
  return { documents, bytes };
}

function charactersOf(chunk: Chunk, separator: Separator): Characters {
  const seen = new CodePoints();
  const counted = forEachPart(chunk, (text, ends) => {
    // A string's iterator gives no empty characters, so there is a code point.
    for (const character of text) seen.add(character.codePointAt(0) ?? 0);
    if (ends && needsBreak(text, separator)) seen.add(10);
  });
  return { ...counted, codes: Uint32Array.from(seen.list()) };
}

function wordsOf(chunk: Chunk): Words {
  const counts = new Map<string, number>();
  const counted = forEachPart(chunk, (text) => {
    forEachWord(text, (word) => counts.set(word, (counts.get(word) ?? 0) + 1));
  });
  return { ...counted, words: [...counts.keys()], counts: Float64Array.from(counts.values()) };
}
