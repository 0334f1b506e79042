import { type FileHandle, open, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { bytesOf } from "../protocol/digest.ts";
import { CorruptData, describe, InvalidInput } from "../protocol/errors.ts";
import { parseAs } from "../protocol/parse.ts";
import { elements, type Header, parseHeader } from "../protocol/safetensors.ts";
import { openTokenizer, type Tokenizer } from "./data/tokenizer.ts";
import { type Gpt2, gpt2Parameters } from "./models/gpt2.ts";
import { gpt2Family } from "./models/gpt2-family.ts";
import type { ModelParameter } from "./models/model.ts";

/** A checkpoint directory in the open format, read for inference: config.json, model.safetensors, tokenizer.json. */
export type Checkpoint = {
  readonly model: Gpt2;
  readonly parameters: readonly (ModelParameter & { readonly values: Float32Array })[];
  readonly tokenizer: Tokenizer;
};

const MAX_CONFIG_BYTES = 1 << 20;
const MAX_TOKENIZER_BYTES = 1 << 26;
/**
 * Reads a checkpoint. Sizes and shapes are checked against each other before anything is allocated by them.
 *
 * @throws InvalidInput when the directory or one of its files is not there
 * @throws CorruptData when the files do not fit together
 */
export async function loadCheckpoint(directory: string): Promise<Checkpoint> {
  const config = join(directory, "config.json");
  const model = parseConfig(await readSmall(config, MAX_CONFIG_BYTES), config);
  const tokens = join(directory, "tokenizer.json");
  const tokenizer = openTokenizer({ "tokenizer.json": await readSmall(tokens, MAX_TOKENIZER_BYTES) }, tokens);
  if (tokenizer.vocabulary !== model.vocabulary) {
    throw new CorruptData(
      `${tokens} must have the ${model.vocabulary} tokens that config.json says, got ${tokenizer.vocabulary}`,
    );
  }
  const path = join(directory, "model.safetensors");
  const file = await open(path).catch((cause) => missing(path, cause));
  try {
    return { model, parameters: await readParameters(file, path, model), tokenizer };
  } finally {
    await file.close();
  }
}

/** The model type says which family reads the rest of the config. */
const typeSchema = z.looseObject({ model_type: z.literal("gpt2") });

function parseConfig(bytes: Uint8Array, what: string): Gpt2 {
  return gpt2Family.fromHuggingFace(parseAs(typeSchema, bytes, what), what);
}

async function readSmall(path: string, limit: number): Promise<Uint8Array> {
  const info = await stat(path).catch((cause) => missing(path, cause));
  if (info.size > limit) throw new CorruptData(`${path} must be at most ${limit} bytes, got ${info.size}`);
  return readFile(path).catch((cause) => missing(path, cause));
}

function missing(path: string, cause: unknown): never {
  throw new InvalidInput(`${path} can't be read; a checkpoint directory has it: ${describe(cause)}`, {
    cause,
  });
}

async function readParameters(
  file: FileHandle,
  path: string,
  model: Gpt2,
): Promise<Checkpoint["parameters"]> {
  const header = await readHeader(file, path);
  const expected = expectedParameters(header, model, path);
  const read: Checkpoint["parameters"][number][] = [];
  for (const parameter of expected) {
    const values = new Float32Array(elements(parameter.shape));
    const begin = header.dataStart + (header.tensors.get(parameter.name)?.begin ?? 0);
    await readExactly(file, bytesOf(values), begin, path);
    read.push({ ...parameter, values });
  }
  return read;
}

async function readHeader(file: FileHandle, path: string): Promise<Header> {
  const { size: length } = await file.stat();
  if (length < 8) throw new CorruptData(`${path} is ${length} bytes, too short for safetensors`);
  const start = new Uint8Array(8);
  await readExactly(file, start, 0, path);
  const promised = new DataView(start.buffer).getBigUint64(0, true);
  if (promised + 8n > BigInt(length)) {
    throw new CorruptData(`${path} is truncated: its header says ${promised} bytes, the file has ${length}`);
  }
  const bytes = new Uint8Array(8 + Number(promised));
  await readExactly(file, bytes, 0, path);
  return parseHeader(bytes, path, length);
}

/** The model's parameters, when the file has exactly these in these shapes. */
function expectedParameters({ tensors }: Header, model: Gpt2, path: string): ModelParameter[] {
  // First the count, as config.json may promise more layers than memory can list.
  const { length } = gpt2Parameters({ ...model, layers: 1 });
  const perLayer = length - gpt2Parameters({ ...model, layers: 0 }).length;
  const count = length + (model.layers - 1) * perLayer;
  if (count > tensors.size) {
    throw new CorruptData(
      `${path} must have ${count} tensors for the ${model.layers} layers of config.json, got ${tensors.size}`,
    );
  }
  const parameters = gpt2Parameters(model);
  const names = new Set(parameters.map(({ name }) => name));
  const problems = [...tensors.keys()]
    .filter((name) => !names.has(name))
    .map((name) => `does not know ${name}`);
  for (const { name, shape } of parameters) {
    const got = tensors.get(name)?.shape;
    if (!got) problems.push(`needs ${name}`);
    else if (got.join() !== shape.join()) problems.push(`needs ${name} of shape [${shape}], got [${got}]`);
  }
  if (problems.length === 0) return parameters;
  throw new CorruptData(problems.map((problem) => `${path}: the model of config.json ${problem}`).join("\n"));
}

/** Fills `into` from byte `position` of a file. */
async function readExactly(
  file: FileHandle,
  into: Uint8Array,
  position: number,
  path: string,
): Promise<void> {
  let done = 0;
  while (done < into.length) {
    const { bytesRead } = await file.read(into, done, into.length - done, position + done);
    if (bytesRead === 0) throw new CorruptData(`${path} ends at byte ${position + done}, too early`);
    done += bytesRead;
  }
}
