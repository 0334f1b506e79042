import { z } from "zod";
import { bytesOf } from "../../protocol/digest.ts";
import { CorruptData, InvalidInput } from "../../protocol/errors.ts";
import { disguiseOf } from "../../protocol/file-format.ts";
import { parseAs } from "../../protocol/parse.ts";
import { required } from "../../protocol/required.ts";
import {
  type Dtype,
  elements,
  type Header,
  MAX_HEADER_BYTES,
  parseHeader,
} from "../../protocol/safetensors.ts";
import { bytesPerElement, isFloat, widen } from "./dtype.ts";
import type { Folder, RandomAccess } from "./folder.ts";

/**
 * The weights of a Hugging Face directory: `model.safetensors`, or the shards that `model.safetensors.index.json`
 * lists. Only headers are held in memory; tensors are read one at a time, straight into where they are wanted.
 */
export type Weights = {
  /** Their name in errors. */
  readonly name: string;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Names of their files. */
  readonly files: readonly string[];
  /**
   * Reads the values of one tensor as 32-bit floats.
   *
   * @param into as long as the tensor; made when not given
   * @throws CorruptData when there is no such tensor, or it does not hold floats
   */
  read(name: string, into?: Float32Array): Promise<Float32Array>;
  /**
   * Fills `into` with a tensor's elements from `start` on, in row order.
   *
   * @throws CorruptData when there is no such tensor, it does not hold floats, or it ends before that
   */
  readPart(name: string, start: number, into: Float32Array): Promise<void>;
  close(): Promise<void>;
};

export type StoredTensor = {
  readonly shape: readonly number[];
  readonly dtype: Dtype;
  /** The file it is in. */
  readonly file: string;
};

const SINGLE = "model.safetensors";
/** Lists the shards of weights that are not in one file. */
export const INDEX = "model.safetensors.index.json";
const MAX_INDEX_BYTES = 1 << 26;
const MAX_FILES = 10_000;

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

type OpenFile = { readonly access: RandomAccess; readonly header: Header };

/**
 * Opens the weights of a directory and reads their headers. Close them when done.
 *
 * @throws InvalidInput when the directory has none in this format
 * @throws CorruptData when a header, or the list of shards, is damaged or hostile
 */
export async function openWeights(folder: Folder): Promise<Weights> {
  const opened = await filesOf(folder);
  const close = async () => {
    for (const { access } of opened) await access.close();
  };
  try {
    const files = new Map<string, OpenFile>();
    for (const { name, access } of opened) files.set(name, await openFile(access));
    return weightsOf(folder, files, close);
  } catch (error) {
    await close();
    throw error;
  }
}

/** Opens the files that hold the tensors. */
async function filesOf(folder: Folder): Promise<{ name: string; access: RandomAccess }[]> {
  const single = await folder.open(SINGLE);
  if (single) return [{ name: SINGLE, access: single }];
  const index = await folder.readSmall(INDEX, MAX_INDEX_BYTES);
  if (!index) throw await noWeights(folder);
  const what = `${folder.name}/${INDEX}`;
  const map = parseAs(indexSchema, index, what).weight_map;
  const names = [...new Set(Object.values(map))].sort();
  const strange = names.find((name) => !/^[\w.-]+\.safetensors$/.test(name));
  if (strange !== undefined) {
    throw new CorruptData(`${what} must list .safetensors files of its own folder, got ${show(strange)}`);
  }
  if (names.length > MAX_FILES)
    throw new CorruptData(`${what} must list at most ${MAX_FILES} files, got ${names.length}`);
  return openAll(folder, names, what);
}

async function openAll(folder: Folder, names: readonly string[], index: string) {
  const opened: { name: string; access: RandomAccess }[] = [];
  try {
    for (const name of names) {
      const access = await folder.open(name);
      if (!access) throw new InvalidInput(`${folder.name}/${name} is not there; ${index} lists it`);
      opened.push({ name, access });
    }
    return opened;
  } catch (error) {
    for (const { access } of opened) await access.close();
    throw error;
  }
}

async function noWeights(folder: Folder): Promise<InvalidInput> {
  for (const name of ["pytorch_model.bin", "pytorch_model.bin.index.json"]) {
    const pickled = await folder.open(name);
    if (!pickled) continue;
    await pickled.close();
    return new InvalidInput(
      `${folder.name} has its weights as ${name}, a format that can run code when it is read; convert it once with: ` +
        `python -c 'from transformers import AutoModel as M; M.from_pretrained("DIR").save_pretrained("NEW")', ` +
        "with the class of the model in place of AutoModel",
    );
  }
  return new InvalidInput(`${folder.name} has no ${SINGLE} or ${INDEX}; a model's directory has one of them`);
}

async function openFile(access: RandomAccess): Promise<OpenFile> {
  const { name, size } = access;
  await refuseDisguise(access);
  if (size < 8) throw new CorruptData(`${name} is ${size} bytes, too short for safetensors`);
  const start = new Uint8Array(8);
  await access.read(start, 0);
  const promised = new DataView(start.buffer).getBigUint64(0, true);
  if (promised + 8n > BigInt(size)) {
    throw new CorruptData(`${name} is truncated: its header says ${promised} bytes, the file has ${size}`);
  }
  if (promised > BigInt(MAX_HEADER_BYTES)) {
    throw new CorruptData(`${name} must have a header of at most ${MAX_HEADER_BYTES} bytes, got ${promised}`);
  }
  const bytes = new Uint8Array(8 + Number(promised));
  await access.read(bytes, 0);
  return { access, header: parseHeader(bytes, name, size, "any") };
}

/** @throws InvalidInput for a file that is no weights by its first bytes, such as a Git LFS pointer */
async function refuseDisguise({ name, size, read }: RandomAccess): Promise<void> {
  const start = new Uint8Array(Math.min(size, 512));
  await read(start, 0);
  // Weights begin with the length of their header, and its brace.
  if (start[8] === 0x7b) return;
  const disguise = disguiseOf(start, name);
  if (disguise !== null) throw new InvalidInput(disguise);
}

function weightsOf(
  folder: Folder,
  files: ReadonlyMap<string, OpenFile>,
  close: () => Promise<void>,
): Weights {
  const tensors = new Map<string, StoredTensor>();
  for (const [file, { access, header }] of files) {
    for (const [name, { shape, dtype }] of header.tensors) {
      const other = tensors.get(name)?.file;
      if (other !== undefined)
        throw new CorruptData(`${access.name} has the tensor ${name}, as has ${other}`);
      tensors.set(name, { shape, dtype, file });
    }
  }
  const tensorOf = (name: string): OpenTensor => {
    const file = tensors.get(name)?.file;
    if (file === undefined) throw new CorruptData(`${folder.name} has no tensor ${name}`);
    return { name, file: required(files.get(file), file) };
  };
  return {
    name: folder.name,
    tensors,
    files: [...files.keys()],
    close,
    async read(name, into) {
      const tensor = tensorOf(name);
      const { shape } = required(tensors.get(name), name);
      const values = into ?? new Float32Array(elements(shape));
      if (values.length !== elements(shape)) {
        throw new CorruptData(
          `${folder.name}: tensor ${name} must have ${values.length} numbers, got shape [${shape}]`,
        );
      }
      await readPart(tensor, 0, values);
      return values;
    },
    readPart: async (name, start, into) => readPart(tensorOf(name), start, into),
  };
}

type OpenTensor = { readonly name: string; readonly file: OpenFile };

/** Reads 16-bit numbers into the second half of the memory that they fill, and widens them from its start. */
async function readPart(
  { name, file: { access, header } }: OpenTensor,
  start: number,
  values: Float32Array,
): Promise<void> {
  const { dtype, shape, begin } = required(header.tensors.get(name), `tensor ${name}`);
  if (!isFloat(dtype))
    throw new CorruptData(`${access.name}: tensor ${name} must be F32, F16 or BF16, got ${dtype}`);
  if (start + values.length > elements(shape))
    throw new CorruptData(`${access.name}: tensor ${name} of shape [${shape}] ends too early`);
  const bytes = bytesOf(values);
  const stored = bytes.subarray(bytes.length - values.length * bytesPerElement(dtype));
  await access.read(stored, header.dataStart + begin + start * bytesPerElement(dtype));
  widen(values, dtype);
}

const show = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
