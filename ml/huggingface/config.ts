import { CorruptData, InvalidInput } from "../../protocol/errors.ts";
import { parseJsonBytes } from "../../protocol/json-text.ts";
import type { Family, ModelConfig } from "../models/family.ts";
import { familyOf, isFamily } from "../models/registry.ts";
import type { Folder } from "./folder.ts";

const MAX_CONFIG_BYTES = 1 << 20;

/** Reads the JSON object in a folder's `config.json`. @throws InvalidInput, CorruptData when there is none */
export async function readConfig(folder: Folder): Promise<Record<string, unknown>> {
  const what = `${folder.name}/config.json`;
  const bytes = await folder.readSmall("config.json", MAX_CONFIG_BYTES);
  if (!bytes) throw new InvalidInput(`${what} is not there; a Hugging Face model directory has it`);
  const value = parseJsonBytes(bytes, what);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new CorruptData(`${what} must hold a JSON object`);
}

/**
 * Returns the model that a `config.json` describes.
 *
 * @param what names the file in errors
 * @throws InvalidInput for a kind of model that this project does not have, or a config that its kind can't follow
 */
export function modelOfConfig(
  config: Readonly<Record<string, unknown>>,
  what: string,
): { family: Family; config: ModelConfig } {
  const type = String(config.model_type);
  if (!isFamily(type)) throw new InvalidInput(`${what}: ${unknownType(type)}`);
  if ((config.quantization_config ?? null) !== null) {
    throw new InvalidInput(`${what} must not have quantization_config: only F32, F16 and BF16 are read`);
  }
  const family = familyOf(type);
  return { family, config: family.fromHuggingFace(config, what) };
}

function unknownType(type: string): string {
  // Code is run for the user's own job only, never because it is in a directory, which may come from anyone.
  if (type === "module")
    return "model_type is module, a model of someone's own, whose code is with its job: name the job";
  try {
    familyOf(type);
    return "";
  } catch (error) {
    return String(error instanceof Error ? error.message : error).replace("model.type", "model_type");
  }
}
