import { z } from "zod";
import { CorruptData, InvalidInput } from "../../protocol/errors.ts";
import type { ModelSpec } from "../../protocol/model-spec.ts";

/** Parts of Hugging Face's configs that the families share. */

const MAX_SIZE = 1 << 24;

/** A size in a config from outside. */
export const size = z.int().min(1).max(MAX_SIZE);

/** For a family that is asked for the config of another's job. */
export function wrongModel(type: string, spec: ModelSpec): never {
  throw new InvalidInput(`model.type must be "${type}", got "${spec.type}"`);
}

/** A JSON file as people read it. */
export const jsonText = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;

const tokenId = z.int().min(0).max(MAX_SIZE);

/** Ids of the tokens that begin and end a text and fill up a batch, for the readers of a checkpoint. */
export type TokenIds = {
  readonly bos: number | null;
  /** Several may end a text. */
  readonly eos: number | readonly number[] | null;
  readonly pad: number | null;
};

export const NO_TOKEN_IDS: TokenIds = { bos: null, eos: null, pad: null };

/** Their fields in Hugging Face's configs. */
export const tokenIdFields = {
  bos_token_id: tokenId.nullable().optional(),
  eos_token_id: z
    .union([tokenId, z.array(tokenId)])
    .nullable()
    .optional(),
  pad_token_id: tokenId.nullable().optional(),
};

type TokenIdFields = z.infer<z.ZodObject<typeof tokenIdFields>>;

export const tokenIdsOf = (fields: TokenIdFields): TokenIds => ({
  bos: fields.bos_token_id ?? null,
  eos: fields.eos_token_id ?? null,
  pad: fields.pad_token_id ?? null,
});

/**
 * The padding token, which has a row in the table of embeddings.
 *
 * @throws CorruptData when it has none
 */
export function paddingOf(pad: number | null, vocabulary: number, what: string): number | null {
  if (pad === null || pad < vocabulary) return pad;
  throw new CorruptData(`${what}: pad_token_id must be below vocab_size ${vocabulary}, got ${pad}`);
}

export const fieldsOfTokenIds = ({ bos, eos, pad }: TokenIds) => ({
  bos_token_id: bos,
  eos_token_id: eos,
  pad_token_id: pad,
});
