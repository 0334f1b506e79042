import {
  type ConvertedTokenizer,
  fromVocabularyFiles,
  VOCABULARY_FILES,
} from "../tokenizers/vocabulary-files.ts";
import type { Folder } from "./folder.ts";

const MAX_FILE_BYTES = 1 << 28;

/**
 * Converts the tokenizer of a directory from before `tokenizer.json`; null when it has that file, or no vocabulary.
 *
 * @throws InvalidInput, CorruptData when the files are there and can't be used
 */
export async function tokenizerFromVocabulary(folder: Folder): Promise<ConvertedTokenizer | null> {
  if (await folder.readSmall("tokenizer.json", MAX_FILE_BYTES)) return null;
  const files: Record<string, Uint8Array | null> = {};
  for (const name of VOCABULARY_FILES) files[name] = await folder.readSmall(name, MAX_FILE_BYTES);
  return fromVocabularyFiles(files, folder.name);
}
