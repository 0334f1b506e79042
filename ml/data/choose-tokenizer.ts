import { InvalidInput } from "../../protocol/errors.ts";
import { at } from "../../protocol/required.ts";
import { byteLevelFiles, byteTokenizerFiles } from "../tokenizers/byte-level.ts";
import { charTokenizerFiles, MAX_CHARACTERS } from "../tokenizers/char.ts";
import type { CutRule } from "../tokenizers/cut-rule.ts";
import { openTokenizer } from "../tokenizers/open-tokenizer.ts";
import { END_OF_TEXT, MASK, PAD } from "../tokenizers/special-tokens.ts";
import type { Tokenizer, TokenizerFiles } from "../tokenizers/tokenizer.ts";
import { trainBpe } from "../tokenizers/train-bpe.ts";
import { CodePoints } from "./code-points.ts";
import type { CorpusReader } from "./corpus-reader.ts";
import type { TokenizerChoice } from "./prepare-options.ts";
import { readTokenizer } from "./read-tokenizer.ts";

/**
 * More distinct words than any language has in use, and 150 MB of memory with their pairs. Past it the rarest are left
 * out, mostly misspelt ones.
 */
const MAX_WORDS = 500_000;

/**
 * Returns the tokenizer of a job, made from its text where need be.
 *
 * @param masks it must have a token that stands for a hidden one
 * @param name names the text in messages
 */
export async function chooseTokenizer(
  choice: TokenizerChoice,
  reader: CorpusReader,
  masks: boolean,
  name: string,
): Promise<Tokenizer> {
  const special = masks ? [PAD, MASK] : [];
  if (choice === "char") return openOwn(await charFiles(reader, special, name));
  if (choice === "byte") return openOwn(byteTokenizerFiles(special));
  if ("train" in choice) return openOwn(await trainedFiles(choice.train.vocab, reader, special, name));
  const tokenizer = readTokenizer(choice.file);
  if (masks && tokenizer.special.mask === null) {
    throw new InvalidInput(`${choice.file} must have a mask token to train by masking, it has none`);
  }
  return tokenizer;
}

const openOwn = (files: TokenizerFiles): Tokenizer => openTokenizer(files, "tokenizer.json");

async function charFiles(
  reader: CorpusReader,
  special: readonly string[],
  name: string,
): Promise<TokenizerFiles> {
  const seen = new CodePoints();
  const pass = { kind: "characters", separator: reader.documentsEnd } as const;
  for await (const { codes } of reader.apply(pass, "reading characters")) {
    for (const code of codes) seen.add(code);
  }
  const characters = seen.list().map((code) => String.fromCodePoint(code));
  if (characters.length === 0) throw new InvalidInput(`${name} is empty; give a text to train on`);
  if (characters.length + special.length > MAX_CHARACTERS) {
    throw new InvalidInput(
      `${name} has ${characters.length} distinct characters; the char tokenizer allows ${MAX_CHARACTERS}`,
    );
  }
  return charTokenizerFiles(characters, special);
}

async function trainedFiles(
  vocabulary: number,
  reader: CorpusReader,
  special: readonly string[],
  name: string,
): Promise<TokenizerFiles> {
  const words = await countWords(reader);
  if (words.size === 0) throw new InvalidInput(`${name} is empty; give a text to train on`);
  const bpe = await trainBpe(words, {
    vocabulary,
    special: [END_OF_TEXT, ...special],
    onProgress: (tokens) =>
      reader.report({ what: "learning merges", share: Math.min(1, tokens / vocabulary) }),
    ...(reader.signal ? { signal: reader.signal } : {}),
  });
  return byteLevelFiles(bpe);
}

/** Words are counted where a text is cut at spaces. */
const WORD_CUTS: CutRule = { kind: "spaces", tokens: [] };

/** Counts the words of all documents; of a text with more than MAX_WORDS, the rarest are left out. */
async function countWords(reader: CorpusReader): Promise<Map<string, number>> {
  const total = new Map<string, number>();
  for await (const { words, counts } of reader.apply({ kind: "words" }, "counting words", WORD_CUTS)) {
    for (const [i, word] of words.entries()) {
      total.set(word, (total.get(word) ?? 0) + at(counts, i, "the count of a word"));
    }
    for (let rare = 1; total.size > MAX_WORDS; rare++) removeRare(total, rare);
  }
  return total;
}

function removeRare(words: Map<string, number>, maxCount: number): void {
  for (const [word, count] of words) if (count <= maxCount) words.delete(word);
}
