import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Tensor } from "@tensorflow/tfjs";
import type { Dataset } from "../../ml/data/dataset.ts";
import type { PrepareOptions } from "../../ml/data/prepare-options.ts";
import { prepareText } from "../../ml/data/prepare-text.ts";
import { modelDescription } from "../../ml/models/describe.ts";
import type { Family, ModelConfig } from "../../ml/models/family.ts";
import type { ModelParameter, Tensors } from "../../ml/models/model.ts";
import { fillNormal, indicesOfName } from "../../ml/random/streams.ts";
import type { Backend } from "../../ml/tensorflow/backend.ts";
import { loadBackend } from "../../ml/tensorflow/load.ts";
import { bytesOf } from "../../protocol/digest.ts";
import type { JobSpec } from "../../protocol/job.ts";
import { planLayout } from "../../protocol/layout.ts";
import { required } from "../../protocol/required.ts";
import { elements, encodeHeader } from "../../protocol/safetensors.ts";
import { jobOf } from "./job.ts";

/** The named backend on one thread; undefined where it is not installed. */
export async function backendOrSkip(name: Backend["name"]): Promise<Backend | undefined> {
  return loadBackend(name, { threads: 1 }).catch((error) => {
    if (name === "wasm") throw error;
    return undefined;
  });
}

/** Normal numbers that depend on `name` only. */
export function normals(name: string, length: number, deviation = 1): Float32Array {
  const values = new Float32Array(length);
  fillNormal(values, deviation, { seed: 1, purpose: "initialize", indices: indicesOfName(name) });
  return values;
}

/** A parameter normal around its usual start, so that no gradient is zero by chance of initialization. */
export function sampleValues({ name, shape, init }: ModelParameter): Float32Array {
  const values = normals(name, elements(shape), 0.2);
  return init.type === "ones" ? values.map((value) => value + 1) : values;
}

/** Sample values of every parameter, as tensors. */
export function randomParameters({ tf }: Backend, parameters: readonly ModelParameter[]): Tensors {
  const tensors = parameters.map((each) => [each.name, tf.tensor(sampleValues(each), [...each.shape])]);
  return Object.fromEntries(tensors);
}

/** Writes a model with sample values as a checkpoint without a tokenizer. */
export function writeModel(directory: string, family: Family, config: ModelConfig): void {
  const parameters = family.parameters(config);
  const { tensors } = planLayout(parameters, 1, 1);
  const values = new Map(parameters.map((parameter) => [parameter.name, sampleValues(parameter)]));
  const data = tensors.map(({ name }) => bytesOf(required(values.get(name), name)));
  const header = encodeHeader(tensors, { format: "pt" });
  writeFileSync(join(directory, "model.safetensors"), Buffer.concat([header, ...data]));
  for (const [name, text] of Object.entries(family.files(config))) writeFileSync(join(directory, name), text);
}

/** Asserts that every element is within `tolerance` of the expected one, relative to the largest expected. */
export function assertClose(
  actual: ArrayLike<number> | Tensor,
  expected: ArrayLike<number> | Tensor,
  tolerance: number,
  what: string,
): void {
  const a = "dataSync" in actual ? actual.dataSync() : actual;
  const b = "dataSync" in expected ? expected.dataSync() : expected;
  assert.equal(a.length, b.length, `${what}: length`);
  const values = Array.from(b);
  const scale = values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  const limit = tolerance * scale + Number.EPSILON;
  for (const [i, value] of values.entries()) {
    const difference = Math.abs((a[i] ?? Number.NaN) - value);
    assert.ok(difference <= limit, `${what}: element ${i} is ${a[i]}, expected ${value} within ${limit}`);
  }
}

export const TEXT = "Philosophy is the science which considers truth.\nÀ bientôt, 世界! 🙂\t0123456789\n";

/** A tiny GPT-2 job on `text`. */
export function tinyJob(changes: Record<string, unknown> = {}): JobSpec {
  const job = {
    name: "tiny",
    model: { type: "gpt2", layers: 2, heads: 2, width: 12, context: 8 },
    data: { type: "text", path: "text.txt", heldOut: 0.3 },
    optimizer: { type: "sgd", learningRate: 0.1 },
    steps: 10,
    batch: 3,
    ...changes,
  };
  return jobOf(job, "test");
}

const scratch = mkdtempSync(join(tmpdir(), "ps-data-"));
process.once("exit", () => rmSync(scratch, { recursive: true, force: true }));
let texts = 0;

/** Tokenizes a text: by characters, unless told otherwise. */
export function datasetOf(
  text: string | Uint8Array,
  options: Partial<PrepareOptions> = {},
): Promise<Dataset> {
  const path = join(scratch, `${texts++}.txt`);
  writeFileSync(path, text);
  return prepareText({ path, tokenizer: "char", cache: join(scratch, "cache"), ...options });
}

/** All tokens of a dataset. */
export function tokensOf({ tokens }: Dataset): number[] {
  const all = new Int32Array(tokens.length);
  tokens.read(0, all);
  return [...all];
}

/** Writes a checkpoint directory with random parameters, the way a checkpointer does. */
export async function writeCheckpoint(directory: string, text: string): Promise<void> {
  const description = modelDescription(tinyJob(), await datasetOf(text));
  const layout = planLayout(description.parameters, 1, 1);
  const theta = normals("theta", layout.parameters, 0.3);
  for (const [name, content] of Object.entries(description.files))
    writeFileSync(join(directory, name), content);
  const header = encodeHeader(layout.tensors, { format: "pt" });
  writeFileSync(join(directory, "model.safetensors"), Buffer.concat([header, bytesOf(theta)]));
}
