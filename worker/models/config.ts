import { z } from "zod";
import { InvalidInput } from "../../protocol/errors.ts";
import type { ModelSpec } from "../../protocol/job.ts";

/** What the families' readers and writers of configs share. */

const MAX_SIZE = 1 << 24;

/** A size in a config from outside. */
export const size = z.int().min(1).max(MAX_SIZE);

/** For a family that is asked for the config of another's job. */
export function wrongModel(type: string, spec: ModelSpec): never {
  throw new InvalidInput(`model.type must be "${type}", got "${spec.type}"`);
}

/** A JSON file as people read it. */
export const jsonText = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;

/** What Hugging Face's configs say of a token's id, where a tokenizer has such a token. */
export const tokenId = z.int().min(0).max(MAX_SIZE).nullable().optional();
