import { type AddedToken, withAddedTokens } from "./added-tokens.ts";
import { byteIdsOf, type Merges, type Vocabulary, wordEncoder } from "./bpe-merges.ts";
import { BYTE_OF } from "./byte-level.ts";
import { outside } from "./char.ts";
import { forEachWord } from "./gpt2-words.ts";
import type { IdList } from "./id-list.ts";
import type { SpecialIds } from "./special-tokens.ts";
import { type Tokenizer, type TokenizerFiles, withEncode } from "./tokenizer.ts";

/** Words whose ids are kept, at most; most of a text is a few thousand words again and again. */
const MAX_CACHED_WORDS = 200_000;
const MAX_CACHED_LENGTH = 64;

export type BpeModel = {
  readonly vocab: Vocabulary;
  readonly merges: Merges;
  readonly added: readonly AddedToken[];
  readonly special: SpecialIds;
  /** Cut into words first, as GPT-2 does. */
  readonly words: boolean;
};

/**
 * Byte-level byte-pair encoding: GPT-2's tokenizer, the byte tokenizer, and what `trainBpe` makes.
 *
 * @throws CorruptData when a byte or a merge has no token
 */
export function bpeTokenizer(model: BpeModel, files: TokenizerFiles, what: string): Tokenizer {
  const { vocab, added, special, words } = model;
  const byteIds = byteIdsOf(vocab, what);
  const encodeWord = cached(wordEncoder(model, byteIds, what));
  const push = (word: string, ids: IdList) => {
    for (const id of encodeWord(word)) ids.push(id);
  };
  const cutKind = words ? "spaces" : model.merges.length === 0 ? "characters" : "nowhere";
  const bytes = bytesOfTokens(vocab, added);
  const specialTokens = new Set(added.filter((token) => token.special).map(({ id }) => id));
  return withEncode({
    files,
    vocabulary: 1 + [...bytes.keys()].reduce((largest, id) => Math.max(largest, id)),
    has: (id) => bytes.has(id),
    special,
    cuts: { kind: cutKind, tokens: added.map(({ content }) => content) },
    encodeTo: withAddedTokens(added, (text, ids) => {
      if (words) forEachWord(text, (word) => push(word, ids));
      else if (model.merges.length > 0) push(text, ids);
      else for (const byte of Buffer.from(text)) ids.push(byteIds[byte] ?? 0);
    }),
    decode(ids, { skipSpecial = false } = {}) {
      const kept = skipSpecial ? ids.filter((id) => !specialTokens.has(id)) : ids;
      const parts = kept.map((id) => bytes.get(id) ?? outside(id));
      return Buffer.concat(parts).toString("utf8");
    },
  });
}

/** A character that stands for no byte, in a token that no text gives, is decoded as "?". */
const QUESTION_MARK = 63;

function bytesOfTokens(vocab: Vocabulary, added: readonly AddedToken[]): Map<number, Uint8Array> {
  const bytes = new Map<number, Uint8Array>();
  for (const [token, id] of vocab) {
    bytes.set(
      id,
      Uint8Array.from(token, (character) => BYTE_OF.get(character) ?? QUESTION_MARK),
    );
  }
  for (const { content, id } of added) bytes.set(id, Buffer.from(content));
  return bytes;
}

function cached(encode: (word: string) => readonly number[]): (word: string) => readonly number[] {
  const idsOf = new Map<string, readonly number[]>();
  return (word) => {
    const hit = idsOf.get(word);
    if (hit) return hit;
    const ids = encode(word);
    if (word.length <= MAX_CACHED_LENGTH) {
      if (idsOf.size >= MAX_CACHED_WORDS) idsOf.clear();
      // A copy: the word is a view of its text, all of which would stay in memory with it.
      idsOf.set(Buffer.from(word).toString(), ids);
    }
    return ids;
  };
}
