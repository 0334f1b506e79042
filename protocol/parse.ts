import type { z } from "zod";
import { CorruptData } from "./errors.ts";
import { parseJsonBytes } from "./json-text.ts";

/**
 * JSON from outside as the value that `schema` describes.
 *
 * @param what names it in errors
 * @throws CorruptData when it is not JSON, or not that value
 * @throws InvalidInput for a file that is something else, such as a Git LFS pointer
 */
export function parseAs<T>(schema: z.ZodType<T>, json: string | Uint8Array, what: string): T {
  return valueAs(schema, typeof json === "string" ? parseText(json, what) : parseJsonBytes(json, what), what);
}

function parseText(json: string, what: string): unknown {
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new CorruptData(`${what} is not JSON`, { cause });
  }
}

/**
 * The same for a value that is parsed already.
 *
 * @throws CorruptData when it is not what `schema` describes
 */
export function valueAs<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map(({ path, message }) => `${path.join(".") || "value"}: ${message}`);
  throw new CorruptData(`${what} is malformed (${problems.join("; ")})`);
}
