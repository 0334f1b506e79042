import { z } from "zod";
import { InvalidInput } from "../../protocol/errors.ts";
import type { ModelSpec } from "../../protocol/model-spec.ts";
import { problemsOf } from "../../protocol/problems.ts";

/** Parts of Hugging Face's configs that the families share. */

const MAX_SIZE = 1 << 24;

/** A size in a config from outside. */
export const size = z.int().min(1).max(MAX_SIZE);

/**
 * Returns the fields of a `config.json` that a family reads, with transformers' defaults for those that are missing.
 *
 * @param what names the file in errors
 * @throws InvalidInput with the field, the rule and the value of each that the family can't follow
 */
export function configFields<T>(schema: z.ZodType<T>, json: unknown, what: string): T {
  const { data, error } = schema.safeParse(json, { reportInput: true });
  if (error === undefined) return data;
  throw new InvalidInput(error.issues.flatMap(problemsOf).map((problem) => `${what}: ${problem}`));
}

/** @throws InvalidInput when a model's heads do not share its width evenly */
export function checkHeads(
  [headsField, heads]: readonly [string, number],
  [widthField, width]: readonly [string, number],
  what: string,
): void {
  if (width % heads === 0) return;
  throw new InvalidInput(`${what}: ${headsField} must divide ${widthField} ${width}, got ${heads}`);
}

/** For a family that is asked for the config of another's job. */
export function wrongModel(type: string, spec: ModelSpec): never {
  throw new InvalidInput(`model.type must be "${type}", got "${spec.type}"`);
}

/** A JSON file as people read it. */
export const jsonText = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;

const tokenId = z.int();
const oneOrMore = "must be the id of a token or a list of ids";

/** Ids of the tokens that begin and end a text and fill up a batch, for the readers of a checkpoint. */
export type TokenIds = {
  readonly bos: number | null;
  /** Several may end a text. */
  readonly eos: number | readonly number[] | null;
  readonly pad: number | null;
};

export const NO_TOKEN_IDS: TokenIds = { bos: null, eos: null, pad: null };

/** Their fields in Hugging Face's configs, with the defaults of a family. */
export const tokenIdFields = (defaults: { bos: number | null; eos: number | null; pad: number | null }) => ({
  bos_token_id: tokenId.nullable().default(defaults.bos),
  eos_token_id: z
    .union([tokenId, z.array(tokenId)], { error: oneOrMore })
    .nullable()
    .default(defaults.eos),
  pad_token_id: tokenId.nullable().default(defaults.pad),
});

type TokenIdFields = z.infer<z.ZodObject<ReturnType<typeof tokenIdFields>>>;

export const tokenIdsOf = (fields: TokenIdFields): TokenIds => ({
  bos: fields.bos_token_id,
  eos: fields.eos_token_id,
  pad: fields.pad_token_id,
});

/**
 * The padding token, which has a row in the table of embeddings; as in PyTorch, -1 is the last row.
 *
 * @throws InvalidInput when it has none
 */
export function paddingOf(pad: number | null, vocabulary: number, what: string): number | null {
  if (pad === null) return null;
  if (pad < vocabulary && pad >= -vocabulary) return pad < 0 ? vocabulary + pad : pad;
  throw new InvalidInput(`${what}: pad_token_id must be below vocab_size ${vocabulary}, got ${pad}`);
}

export const fieldsOfTokenIds = ({ bos, eos, pad }: TokenIds) => ({
  bos_token_id: bos,
  eos_token_id: eos,
  pad_token_id: pad,
});
