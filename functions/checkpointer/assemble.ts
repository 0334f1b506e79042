import { createHash } from "node:crypto";
import type { Cloud } from "../../cloud/connect.ts";
import { CorruptData, TryAgain } from "../../protocol/errors.ts";
import { keys } from "../../protocol/keys.ts";
import type { Layout } from "../../protocol/layout.ts";
import { encodeRecord, type JobRecord, type Manifest, type TrainingState } from "../../protocol/records.ts";
import { encodeHeader } from "../../protocol/safetensors.ts";
import { describeShard, parameterBytes } from "../../protocol/shard.ts";

/** Parts of an S3 multipart upload are at least 5 MiB; this is what is held in memory. */
const PART_BYTES = 8 * 1024 * 1024;

/** A version in the open format: the files of a Hugging Face model directory. */
export type Assembly = {
  readonly record: JobRecord;
  readonly layout: Layout;
  readonly manifest: Manifest;
};

/** @throws TryAgain when the version, or the job's layout, is not there */
export async function findAssembly(cloud: Cloud, job: string, version: number): Promise<Assembly> {
  const [record, layout, manifest] = await Promise.all([
    cloud.jobs.record(job),
    cloud.jobs.layout(job),
    cloud.jobs.manifest(job, version),
  ]);
  if (!layout || !manifest) throw new TryAgain(`version ${version} of ${job} is not there`);
  return { record, layout, manifest };
}

/** The job's model files: config.json, tokenizer files; by name. */
export async function modelFiles({ store }: Cloud, job: string): Promise<Map<string, Uint8Array>> {
  const prefix = keys.modelFiles(job);
  const files = new Map<string, Uint8Array>();
  for (const { key } of await store.list(prefix)) {
    const stored = await store.get(key);
    if (stored) files.set(key.slice(prefix.length), stored.body);
  }
  return files;
}

/**
 * The bytes of `model.safetensors`, streamed from the shards in parts of 8 MiB: a header, then the parameters of
 * every shard, since the flat vector has the order of the data section. Checks each shard against the manifest.
 *
 * @param onEnd gets the SHA-256 of the parameters' bytes
 */
export async function* modelParts(
  { store }: Cloud,
  { layout, manifest }: Assembly,
  onEnd: (sha256: string) => void,
): AsyncGenerator<Uint8Array> {
  const whole = createHash("sha256");
  // transformers refuses a file that does not name its framework.
  let rest = encodeHeader(layout.tensors, { format: "pt" });
  for (const [shard, { parameters }] of manifest.shards.entries()) {
    const own = createHash("sha256");
    const { start, end } = parameterBytes(layout, shard);
    for (let at = start; at < end; at += PART_BYTES) {
      const chunk = new Uint8Array(Math.min(PART_BYTES, end - at));
      const key = keys.shard(manifest.job, manifest.version, shard);
      if (!(await store.getInto(key, at, chunk))) throw new TryAgain(`${key} is not there`);
      whole.update(chunk);
      own.update(chunk);
      rest = Buffer.concat([rest, chunk]);
      for (; rest.length >= PART_BYTES; rest = rest.subarray(PART_BYTES)) yield rest.subarray(0, PART_BYTES);
    }
    if (own.digest("hex") !== parameters) {
      throw new CorruptData(`${describeShard(shard, manifest.version)} does not match its manifest`);
    }
  }
  yield rest;
  onEnd(whole.digest("hex"));
}

/** `training_state.json` of a version. */
export function trainingState({ record, layout, manifest }: Assembly, sha256: string): Uint8Array {
  const state: TrainingState = {
    job: manifest.job,
    version: manifest.version,
    parameters: layout.parameters,
    sha256,
    loss: manifest.loss,
    tokens: manifest.data.tokens,
    spec: record.spec,
    provenance: record.provenance,
  };
  return encodeRecord(state);
}
