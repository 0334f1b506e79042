import { CorruptData } from "./errors.ts";

/**
 * The safetensors container: 8 bytes of header length (little-endian), a JSON header, then the tensors' data end
 * to end. Format: https://huggingface.co/docs/safetensors (section "Format").
 */
export type Entry = { readonly name: string; readonly shape: readonly number[] };

/** Bytes of an element by its type. */
const elementBytes = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const;
export type Dtype = keyof typeof elementBytes;

type TensorEntry = {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
};

export type Header = {
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  /** Where the data section starts, in bytes from the start of the file. */
  readonly dataStart: number;
};

export const MAX_HEADER_BYTES = 100_000_000;
const BYTES_PER_FLOAT = elementBytes.F32;

export const elements = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);

/**
 * The header bytes of a file of F32 tensors in the given order, padded with spaces.
 *
 * @param size total header size in bytes, the 8 of the length included; by default the next multiple of 8
 * @throws CorruptData when the header does not fit into `size`
 */
export function encodeHeader(
  tensors: readonly Entry[],
  metadata: Readonly<Record<string, string>>,
  size?: number,
): Uint8Array {
  const json: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const { name, shape } of tensors) {
    const end = offset + elements(shape) * BYTES_PER_FLOAT;
    json[name] = { dtype: "F32", shape, data_offsets: [offset, end] };
    offset = end;
  }
  const text = new TextEncoder().encode(JSON.stringify(json));
  const total = size ?? 8 + Math.ceil(text.length / 8) * 8;
  if (8 + text.length > total) {
    throw new CorruptData(`a safetensors header of ${8 + text.length} bytes does not fit into ${total}`);
  }
  const header = new Uint8Array(total).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(total - 8), true);
  header.set(text, 8);
  return header;
}

/**
 * Reads the header at the start of `bytes`; the data section need not be there yet.
 *
 * @param what names the object in errors
 * @param length of the whole file in bytes; when given, the data section must end exactly there
 * @param dtypes what the tensors may be: our own files have F32 only
 */
export function parseHeader(
  bytes: Uint8Array,
  what: string,
  length?: number,
  dtypes: "F32" | "any" = "F32",
): Header {
  if (bytes.length < 8) throw new CorruptData(`${what} is ${bytes.length} bytes, too short for safetensors`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = Number(view.getBigUint64(0, true));
  if (size > MAX_HEADER_BYTES || 8 + size > bytes.length) {
    throw new CorruptData(
      `${what} is truncated: its header says ${size} bytes, ${bytes.length - 8} are there`,
    );
  }
  const json = parseJson(bytes.subarray(8, 8 + size), what);
  const tensors = new Map<string, TensorEntry>();
  let dataBytes = 0;
  for (const [name, entry] of Object.entries(json)) {
    if (name === "__metadata__") continue;
    const tensor = parseEntry(entry, `${what}: tensor ${name}`, dtypes);
    tensors.set(name, tensor);
    dataBytes = Math.max(dataBytes, tensor.end);
  }
  if (length !== undefined && 8 + size + dataBytes !== length) {
    const promised = 8 + size + dataBytes;
    const fault = length < promised ? "truncated" : "too long";
    throw new CorruptData(`${what} is ${fault}: ${length} bytes, its header promises ${promised}`);
  }
  return { tensors, metadata: parseMetadata(json.__metadata__, what), dataStart: 8 + size };
}

/** The data of one tensor of a whole file in memory. */
export function tensorBytes(file: Uint8Array, header: Header, name: string, what: string): Uint8Array {
  const tensor = header.tensors.get(name);
  if (!tensor) throw new CorruptData(`${what} has no tensor ${name}`);
  return file.subarray(header.dataStart + tensor.begin, header.dataStart + tensor.end);
}

function parseJson(bytes: Uint8Array, what: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch (cause) {
    throw new CorruptData(`${what} has a header that is not JSON`, { cause });
  }
  throw new CorruptData(`${what} has a header that is not a JSON object`);
}

function parseEntry(entry: unknown, what: string, dtypes: "F32" | "any"): TensorEntry {
  const { dtype, shape, data_offsets } = (entry ?? {}) as Record<string, unknown>;
  if (!isDtype(dtype) || (dtypes === "F32" && dtype !== "F32")) {
    const rule = dtypes === "F32" ? "F32" : `one of ${Object.keys(elementBytes).join(", ")}`;
    throw new CorruptData(`${what} must be ${rule}, got ${String(dtype)}`);
  }
  if (!isCounts(shape) || !isCounts(data_offsets)) throw new CorruptData(`${what} has no shape or offsets`);
  const [begin, end] = data_offsets;
  if (begin === undefined || end === undefined) throw new CorruptData(`${what} has no offsets`);
  if (end - begin !== elements(shape) * elementBytes[dtype]) {
    throw new CorruptData(`${what} has shape [${shape}] but ${end - begin} bytes`);
  }
  return { dtype, shape, begin, end };
}

const isDtype = (value: unknown): value is Dtype =>
  typeof value === "string" && Object.hasOwn(elementBytes, value);

const isCounts = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);

function parseMetadata(value: unknown, what: string): Record<string, string> {
  const metadata = Object.entries(value ?? {});
  if (!metadata.every((pair): pair is [string, string] => typeof pair[1] === "string")) {
    throw new CorruptData(`${what} has metadata that are not strings`);
  }
  return Object.fromEntries(metadata);
}
