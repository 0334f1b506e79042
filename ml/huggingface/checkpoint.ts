import { z } from "zod";
import { InvalidInput } from "../../protocol/errors.ts";
import { parseAs } from "../../protocol/parse.ts";
import type { Family, ModelConfig } from "../models/family.ts";
import type { ModelParameter } from "../models/model.ts";
import { openTokenizer } from "../tokenizers/open-tokenizer.ts";
import { TOKENIZER_FILES, type Tokenizer } from "../tokenizers/tokenizer.ts";
import { readConfig } from "./config.ts";
import { type Folder, localFolder } from "./folder.ts";
import { type StoredModel, storedModel } from "./stored-model.ts";
import { tokenizerFromVocabulary } from "./tokenizer-from-vocabulary.ts";
import { openWeights } from "./weights.ts";

/** An open directory in the open format: config.json, weights, tokenizer.json. Close it when done. */
export type Checkpoint = {
  readonly family: Family;
  readonly config: ModelConfig;
  readonly parameters: readonly ModelParameter[];
  readonly tokenizer: Tokenizer;
  /** Tokens that end a text. */
  readonly endTokens: ReadonlySet<number>;
  /** Told to a person. */
  readonly notes: readonly string[];
  /** Reads the values of one parameter into memory of its length. */
  read(parameter: string, into: Float32Array): Promise<Float32Array>;
  close(): Promise<void>;
};

const MAX_CONFIG_BYTES = 1 << 20;
const MAX_TOKENIZER_BYTES = 1 << 26;

/**
 * Opens a checkpoint. Names, sizes and shapes are checked against each other before anything is allocated by them;
 * of the weights only the headers are read.
 *
 * @throws InvalidInput when the directory or one of its files is not there, or the model is of an unknown kind
 * @throws CorruptData when the files do not fit together: each tensor that is missing, wrong or left over is named
 */
export async function openCheckpoint(directory: string): Promise<Checkpoint> {
  const folder = localFolder(directory);
  const json = await readConfig(folder);
  const tokenizer = await readTokenizer(folder);
  const weights = await openWeights(folder);
  try {
    const model = await storedModel(weights, json, `${directory}/config.json`);
    requireWhole(model);
    const { family, config, match, notes } = model;
    const { parameters, stored } = match;
    return {
      family,
      config,
      parameters,
      tokenizer,
      endTokens: await endTokensOf(folder, model, tokenizer),
      notes: [...notes, ...tokensWithoutRow(directory, tokenizer, config)],
      read: (parameter, into) => weights.read(stored.get(parameter) ?? parameter, into),
      close: weights.close,
    };
  } catch (error) {
    await weights.close();
    throw error;
  }
}

/** @throws InvalidInput when a parameter of the model is not among the weights */
function requireWhole({ match: { fresh, notes } }: StoredModel): void {
  if (fresh.length === 0) return;
  throw new InvalidInput(`${notes.join("; ")}; train them before the model is used`);
}

/** Some models have more rows than tokens, so that their number is round; few have less, after tokens were added. */
function tokensWithoutRow(directory: string, { vocabulary }: Tokenizer, config: ModelConfig): string[] {
  if (vocabulary <= config.vocabulary) return [];
  return [
    `${directory}: the tokenizer has ids up to ${vocabulary - 1}, the model only ${config.vocabulary} rows ` +
      "(vocab_size): a text with a token past them is refused",
  ];
}

async function readTokenizer(folder: Folder): Promise<Tokenizer> {
  const what = `${folder.name}/tokenizer.json`;
  const files: Record<string, Uint8Array> = {};
  for (const name of TOKENIZER_FILES) {
    const bytes = await folder.readSmall(name, MAX_TOKENIZER_BYTES);
    if (bytes) files[name] = bytes;
  }
  const made = await tokenizerFromVocabulary(folder);
  if (!files["tokenizer.json"] && !made)
    throw new InvalidInput(`${what} is not there; the model needs it to read text`);
  return openTokenizer(made?.files ?? files, what);
}

const endSchema = z.looseObject({
  eos_token_id: z.union([z.int(), z.array(z.int())]).nullish(),
});

/** As in transformers: those of generation_config.json, else of config.json, else of the tokenizer. */
async function endTokensOf(
  folder: Folder,
  { config }: StoredModel,
  { special }: Tokenizer,
): Promise<ReadonlySet<number>> {
  const bytes = await folder.readSmall("generation_config.json", MAX_CONFIG_BYTES);
  const generation = bytes ? parseAs(endSchema, bytes, `${folder.name}/generation_config.json`) : {};
  // The default of a family may be past the rows of a small model.
  const isRow = (id: number) => id < config.vocabulary;
  const own = [config.special?.eos ?? []].flat();
  const ends = generation.eos_token_id ?? (own.some(isRow) ? own : special.eos);
  return new Set([ends ?? []].flat());
}
