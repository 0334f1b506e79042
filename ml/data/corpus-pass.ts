import { forEachWord } from "../tokenizers/gpt2-words.ts";
import { IdList } from "../tokenizers/id-list.ts";
import { openTokenizer } from "../tokenizers/open-tokenizer.ts";
import type { TokenizerFiles } from "../tokenizers/tokenizer.ts";
import type { Piece } from "./chunks.ts";
import { partsOf } from "./documents.ts";

/** What a pass over the pieces finds out; plain data, so that a thread can do it. */
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
export type TokenType = "uint16" | "uint32";

export type Found = { readonly documents: number; readonly bytes: number };
export type Characters = Found & { readonly codes: Uint32Array<ArrayBuffer> };
export type Words = Found & { readonly words: string[]; readonly counts: Float64Array<ArrayBuffer> };
export type Encoded = Found & { readonly ids: Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer> };

/** What each kind of pass gives for a piece. */
export type Results = { characters: Characters; words: Words; encode: Encoded };
export type ResultOf<P extends Pass> = Results[P["kind"]];

/** The function that a pass applies to each piece. */
export function stepOf(pass: Pass): (piece: Piece) => Results[Pass["kind"]] {
  if (pass.kind === "characters") return (piece) => characters(piece, pass.separator);
  if (pass.kind === "words") return words;
  const tokenizer = openTokenizer(pass.files, "tokenizer.json");
  const TypedArray = pass.type === "uint16" ? Uint16Array : Uint32Array;
  const ids = new IdList();
  return (piece) => {
    ids.clear();
    const found = eachPart(piece, (text, ends) => {
      tokenizer.encodeTo(text, ids);
      if (!ends) return;
      if (typeof pass.separator === "number") ids.push(pass.separator);
      else if (needsBreak(text, pass.separator)) tokenizer.encodeTo("\n", ids);
    });
    return { ...found, ids: new TypedArray(ids.view()) };
  };
}

const needsBreak = (text: string, separator: Separator): boolean =>
  separator === "newline" && !text.endsWith("\n");

function eachPart(piece: Piece, visit: (text: string, ends: boolean) => void): Found {
  let documents = 0;
  let bytes = 0;
  for (const { text, ends } of partsOf(piece)) {
    visit(text, ends);
    bytes += Buffer.byteLength(text);
    if (ends) documents++;
  }
  return { documents, bytes };
}

function characters(piece: Piece, separator: Separator): Characters {
  const seen = new Uint8Array(0x110000);
  const found = eachPart(piece, (text, ends) => {
    for (const character of text) seen[character.codePointAt(0) ?? 0] = 1;
    if (ends && needsBreak(text, separator)) seen[10] = 1;
  });
  const codes: number[] = [];
  for (let code = seen.indexOf(1); code !== -1; code = seen.indexOf(1, code + 1)) codes.push(code);
  return { ...found, codes: Uint32Array.from(codes) };
}

function words(piece: Piece): Words {
  const counts = new Map<string, number>();
  const found = eachPart(piece, (text) => {
    forEachWord(text, (word) => counts.set(word, (counts.get(word) ?? 0) + 1));
  });
  return { ...found, words: [...counts.keys()], counts: Float64Array.from(counts.values()) };
}
