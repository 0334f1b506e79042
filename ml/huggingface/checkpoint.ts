import { z } from "zod";
import { CorruptData, InvalidInput } from "../../protocol/errors.ts";
import { parseAs } from "../../protocol/parse.ts";
import type { Family, ModelConfig } from "../models/family.ts";
import type { ModelParameter } from "../models/model.ts";
import { openTokenizer } from "../tokenizers/open-tokenizer.ts";
import { TOKENIZER_FILES, type Tokenizer } from "../tokenizers/tokenizer.ts";
import { modelOfConfig, readConfig } from "./config.ts";
import { type Folder, localFolder } from "./folder.ts";
import { checkTied, matchWeights } from "./match.ts";
import { tokenizerFromVocabulary } from "./tokenizer-from-vocabulary.ts";
import { openWeights, type Weights } from "./weights.ts";

/** An open directory in the open format: config.json, weights, tokenizer.json. Close it when done. */
export type Checkpoint = {
  readonly family: Family;
  readonly config: ModelConfig;
  readonly parameters: readonly ModelParameter[];
  readonly tokenizer: Tokenizer;
  /** Tokens that end a text. */
  readonly endTokens: ReadonlySet<number>;
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
  const { family, config } = modelOfConfig(json, `${directory}/config.json`);
  const tokenizer = await readTokenizer(folder, config);
  const endTokens = await endTokensOf(folder, json, tokenizer);
  const weights = await openWeights(folder);
  try {
    const { parameters, stored } = await matchAll(weights, family, config);
    return {
      family,
      config,
      parameters,
      tokenizer,
      endTokens,
      read: (parameter, into) => weights.read(stored.get(parameter) ?? parameter, into),
      close: weights.close,
    };
  } catch (error) {
    await weights.close();
    throw error;
  }
}

/** @throws InvalidInput when a parameter of the model is not among the weights */
async function matchAll(weights: Weights, family: Family, config: ModelConfig) {
  const match = matchWeights(weights, family, config);
  const [first] = match.fresh;
  if (first !== undefined) {
    throw new InvalidInput(`${match.notes.join("; ")}; train them before the model is used`);
  }
  await checkTied(weights, match);
  return match;
}

async function readTokenizer(folder: Folder, config: ModelConfig): Promise<Tokenizer> {
  const what = `${folder.name}/tokenizer.json`;
  const files: Record<string, Uint8Array> = {};
  for (const name of TOKENIZER_FILES) {
    const bytes = await folder.readSmall(name, MAX_TOKENIZER_BYTES);
    if (bytes) files[name] = bytes;
  }
  const made = await tokenizerFromVocabulary(folder);
  if (!files["tokenizer.json"] && !made)
    throw new InvalidInput(`${what} is not there; the model needs it to read text`);
  const tokenizer = openTokenizer(made?.files ?? files, what);
  // Some models have more rows than tokens, so that their number is round.
  if (tokenizer.vocabulary <= config.vocabulary) return tokenizer;
  throw new CorruptData(
    `${what} must have at most the ${config.vocabulary} tokens of config.json, got ${tokenizer.vocabulary}`,
  );
}

const endSchema = z.looseObject({
  eos_token_id: z.union([z.int(), z.array(z.int())]).nullish(),
});

/** As in transformers: those of generation_config.json, else of config.json, else of the tokenizer. */
async function endTokensOf(
  folder: Folder,
  json: object,
  { special }: Tokenizer,
): Promise<ReadonlySet<number>> {
  const bytes = await folder.readSmall("generation_config.json", MAX_CONFIG_BYTES);
  const generation = bytes ? parseAs(endSchema, bytes, `${folder.name}/generation_config.json`) : {};
  const ends = generation.eos_token_id ?? endSchema.safeParse(json).data?.eos_token_id ?? special.eos;
  return new Set([ends ?? []].flat());
}
