import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { sha256 } from "../../protocol/digest.ts";
import { InvalidInput } from "../../protocol/errors.ts";
import { elements } from "../../protocol/safetensors.ts";
import { readConfig } from "./config.ts";
import { type Folder, localFolder } from "./folder.ts";
import { COMPANION_FILES } from "./model-files.ts";
import { storedModel } from "./stored-model.ts";
import { tokenizerFromVocabulary } from "./tokenizer-from-vocabulary.ts";
import { INDEX, openWeights } from "./weights.ts";

/** A Hugging Face directory that a job can start from. */
export type Pretrained = {
  readonly directory: string;
  /** Its name: SHA-256 over the names and contents of its files. */
  readonly digest: string;
  /** Its config.json, with what its weights say. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly files: readonly PretrainedFile[];
  /** Told to a person before training starts from it. */
  readonly notes: readonly string[];
  readonly parameters: number;
};

export type PretrainedFile = { readonly name: string; readonly size: number; readonly sha256: string };

const READ_BYTES = 1 << 22;

/**
 * Checks all of a directory that can be checked without training from it, and names it by its content. Reads every
 * file once, a part at a time.
 *
 * @throws InvalidInput when something is not there, CorruptData when it is damaged or does not fit the config
 */
export async function inspectDirectory(directory: string): Promise<Pretrained> {
  if (!statSync(directory, { throwIfNoEntry: false })?.isDirectory()) {
    throw new InvalidInput(`${directory} must be a directory with config.json and model.safetensors`);
  }
  const folder = localFolder(directory);
  const stored = await readConfig(folder);
  const weights = await openWeights(folder);
  try {
    const {
      match,
      json: config,
      notes: about,
    } = await storedModel(weights, stored, `${directory}/config.json`);
    const index = weights.files.includes("model.safetensors") ? [] : [INDEX];
    const converted = await tokenizerFromVocabulary(folder);
    const notes = [...about, ...(converted ? [converted.note] : [])];
    const files = await survey(folder, ["config.json", ...COMPANION_FILES, ...index, ...weights.files]);
    const parameters = match.parameters.reduce((sum, { shape }) => sum + elements(shape), 0);
    return { directory, digest: digestOf(files), config, files, notes, parameters };
  } finally {
    await weights.close();
  }
}

async function survey(folder: Folder, names: readonly string[]): Promise<PretrainedFile[]> {
  const files: PretrainedFile[] = [];
  for (const name of [...new Set(names)].sort()) {
    const hash = createHash("sha256");
    let size = 0;
    const parts = await partsOf(folder, name, READ_BYTES);
    if (!parts) continue;
    for await (const part of parts) {
      hash.update(part);
      size += part.length;
    }
    files.push({ name, size, sha256: hash.digest("hex") });
  }
  return files;
}

/** Reads a file in parts of `bytes`, the last one shorter; null when it is not there. Each part is memory of its own. */
export async function partsOf(
  folder: Folder,
  name: string,
  bytes: number,
): Promise<AsyncGenerator<Uint8Array> | null> {
  const file = await folder.open(name);
  return file && read();

  async function* read() {
    if (!file) return;
    try {
      for (let at = 0; at < file.size; at += bytes) {
        const part = new Uint8Array(Math.min(bytes, file.size - at));
        await file.read(part, at);
        yield part;
      }
    } finally {
      await file.close();
    }
  }
}

const digestOf = (files: readonly PretrainedFile[]): string =>
  sha256(files.map(({ name, sha256 }) => `${sha256}  ${name}\n`).join(""));
