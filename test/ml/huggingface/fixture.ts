import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Bert } from "../../../ml/models/bert.ts";
import type { Family, ModelConfig } from "../../../ml/models/family.ts";
import type { Gpt2 } from "../../../ml/models/gpt2.ts";
import type { Llama } from "../../../ml/models/llama.ts";
import { familyOf } from "../../../ml/models/registry.ts";
import { charTokenizerFiles } from "../../../ml/tokenizers/char.ts";
import { elements } from "../../../protocol/safetensors.ts";
import { normals, TEXT } from "../../support/models.ts";

/** Hugging Face directories, written without the project's own writer. */
export type Dtype = "F32" | "F16" | "BF16";
export type StoredTensor = {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
};

const CHARACTERS = [...new Set(TEXT)].sort();

export const GPT2: Gpt2 = { layers: 2, heads: 2, width: 12, context: 8, vocabulary: CHARACTERS.length + 2 };

export const BERT: Bert = {
  layers: 2,
  heads: 3,
  width: 15,
  hidden: 31,
  context: 8,
  vocabulary: CHARACTERS.length + 2,
  types: 2,
  epsilon: 1e-12,
  deviation: 0.02,
  padding: null,
  dropout: 0,
};

export const LLAMA: Llama = {
  layers: 2,
  heads: 4,
  keyValueHeads: 2,
  headWidth: 4,
  width: 16,
  hidden: 23,
  context: 8,
  vocabulary: CHARACTERS.length + 2,
  ropeTheta: 500_000,
  ropeScaling: { factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContext: 4 },
  tied: false,
  epsilon: 1e-5,
  deviation: 0.02,
  padding: null,
};

export type ModelType = keyof typeof MODELS;
const MODELS = { gpt2: GPT2, bert: BERT, llama: LLAMA } as const;

export type Options = {
  readonly dtype?: Dtype;
  /** Files to spread the tensors over, with an index; 1: model.safetensors. */
  readonly files?: number;
  /** Changes what is stored. */
  readonly change?: (tensors: Map<string, StoredTensor>) => void;
  /** Fields of config.json to change. */
  readonly config?: Readonly<Record<string, unknown>>;
};

/**
 * Writes a model and a char tokenizer of TEXT's characters.
 *
 * @returns the values of its parameters
 */
export function writeDirectory(
  directory: string,
  type: ModelType,
  { dtype = "F32", files = 1, change = () => {}, config: changes = {} }: Options = {},
): Map<string, Float32Array> {
  mkdirSync(directory, { recursive: true });
  const family: Family = familyOf(type);
  const config: ModelConfig = MODELS[type];
  const values = new Map(
    family.parameters(config).map(({ name, shape }) => [name, onGrid(normals(name, elements(shape)))]),
  );
  const tensors = new Map(
    family
      .parameters(config)
      .map(({ name, shape }): [string, StoredTensor] => [
        name,
        { dtype, shape, bytes: encode(values.get(name) ?? new Float32Array(), dtype) },
      ]),
  );
  change(tensors);
  const json = { ...(JSON.parse(family.files(config)["config.json"] ?? "") as object), ...changes };
  writeFileSync(join(directory, "config.json"), JSON.stringify(json));
  const special = type === "bert" ? ["[PAD]", "[MASK]"] : [];
  for (const [name, bytes] of Object.entries(charTokenizerFiles(CHARACTERS, special))) {
    writeFileSync(join(directory, name), bytes);
  }
  writeWeights(directory, tensors, files);
  return values;
}

/** Multiples of 1/64 below 4 are exact in all three types. */
const onGrid = (values: Float32Array): Float32Array =>
  values.map((value) => Math.max(-255, Math.min(255, Math.round(64 * value))) / 64);

/** By Node's own conversions: a bfloat16 is the upper half of a float32. */
export function encode(values: Float32Array, dtype: Dtype): Uint8Array {
  const bytes = new Uint8Array(values.length * (dtype === "F32" ? 4 : 2));
  const view = new DataView(bytes.buffer) as DataView & {
    setFloat16(at: number, value: number, littleEndian: boolean): void;
  };
  const whole = new DataView(new ArrayBuffer(4));
  for (const [i, value] of values.entries()) {
    whole.setFloat32(0, value);
    if (dtype === "F32") view.setFloat32(4 * i, value, true);
    else if (dtype === "F16") view.setFloat16(2 * i, value, true);
    else view.setUint16(2 * i, whole.getUint16(0), true);
  }
  return bytes;
}

function writeWeights(directory: string, tensors: ReadonlyMap<string, StoredTensor>, files: number): void {
  if (files === 1) {
    writeFileSync(join(directory, "model.safetensors"), safetensors([...tensors]));
    return;
  }
  const weight_map: Record<string, string> = {};
  for (let file = 0; file < files; file++) {
    const name = `model-${file + 1}-of-${files}.safetensors`;
    const part = [...tensors].filter((_, i) => i % files === file);
    for (const [tensor] of part) weight_map[tensor] = name;
    writeFileSync(join(directory, name), safetensors(part));
  }
  const index = { metadata: {}, weight_map };
  writeFileSync(join(directory, "model.safetensors.index.json"), JSON.stringify(index));
}

/** Format: https://huggingface.co/docs/safetensors (section "Format"). */
export function safetensors(tensors: readonly (readonly [string, StoredTensor])[]): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let at = 0;
  for (const [name, { dtype, shape, bytes }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] };
    at += bytes.length;
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...tensors.map(([, { bytes }]) => bytes)]);
}
