import { z } from "zod";
import { encodeJson } from "../../protocol/json.ts";
import { parseAs } from "../../protocol/parse.ts";
import { required } from "../../protocol/required.ts";
import type { ModelDescription } from "../models/model.ts";
import type { Folder } from "./folder.ts";
import { tokenizerFromVocabulary } from "./tokenizer-from-vocabulary.ts";

/** Files that go with a model's weights and config: a tokenizer's, and those that `generate` of transformers reads. */
export const COMPANION_FILES = [
  "added_tokens.json",
  "chat_template.jinja",
  "generation_config.json",
  "merges.txt",
  "special_tokens_map.json",
  "tokenizer.json",
  "tokenizer.model",
  "tokenizer_config.json",
  "vocab.json",
  "vocab.txt",
] as const;

const configSchema = z.looseObject({ architectures: z.unknown() });

/** Fields of a config that are said again in all their spellings, or that the weights decide. */
const RESTATED = ["tie_word_embeddings", "rope_theta", "rope_scaling", "rope_parameters"];

const MAX_FILE_BYTES = 1 << 28;

/**
 * Returns the files that a checkpoint has beside its weights when it was trained from a Hugging Face directory: that
 * directory's config, and its tokenizer's files, with a `tokenizer.json` where it has only the vocabulary. The config
 * says what the new weights are: of the language model's class, and in float32.
 */
export async function modelFilesFrom(
  folder: Folder,
  config: Readonly<Record<string, unknown>>,
  { files: described }: ModelDescription,
): Promise<Record<string, Uint8Array>> {
  const ownConfig = required(described["config.json"], "the config.json of the model");
  const { architectures, ...own } = parseAs(configSchema, ownConfig, "the config.json of the model");
  const restated = Object.fromEntries(Object.entries(own).filter(([field]) => RESTATED.includes(field)));
  // `dtype` is the newer name of `torch_dtype`; the code that auto_map names is not in the checkpoint.
  const { dtype: _, torch_dtype: __, auto_map: ___, ...kept } = config;
  const files: Record<string, Uint8Array> = {
    "config.json": encodeJson({ ...kept, ...restated, architectures, torch_dtype: "float32" }),
  };
  for (const name of COMPANION_FILES) {
    const bytes = await folder.readSmall(name, MAX_FILE_BYTES);
    if (bytes) files[name] = bytes;
  }
  return { ...files, ...(await tokenizerFromVocabulary(folder))?.files };
}
