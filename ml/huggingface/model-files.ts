import { encodeJson } from "../../protocol/json.ts";
import type { StoredFolder } from "../../worker/stored-folder.ts";
import type { ModelDescription } from "../models/model.ts";
import { CARRIED } from "./inspect.ts";
import { madeTokenizer } from "./tokenizer-from-vocabulary.ts";

const MAX_FILE_BYTES = 1 << 28;

/**
 * The files of a Hugging Face directory that a checkpoint trained from it has too: its config, and its tokenizer's,
 * with a `tokenizer.json` where it has only the vocabulary.
 * The config says what the new weights are: of the language model's class, and in float32.
 */
export async function carriedFiles(
  folder: StoredFolder,
  config: Readonly<Record<string, unknown>>,
  { files: own }: ModelDescription,
): Promise<Record<string, Uint8Array>> {
  const ours = JSON.parse(own["config.json"] ?? "{}") as Record<string, unknown>;
  // `dtype` is what newer versions call `torch_dtype`; the code that auto_map names is not taken along.
  const { dtype: _, torch_dtype: __, auto_map: ___, ...kept } = config;
  const { architectures } = ours;
  const files: Record<string, Uint8Array> = {
    "config.json": encodeJson({ ...kept, architectures, torch_dtype: "float32" }),
  };
  for (const name of CARRIED) {
    const bytes = await folder.readSmall(name, MAX_FILE_BYTES);
    if (bytes) files[name] = bytes;
  }
  return { ...files, ...(await madeTokenizer(folder))?.files };
}
