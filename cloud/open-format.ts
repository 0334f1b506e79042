import { createHash } from "node:crypto";
import { CorruptData, TryAgain } from "../protocol/errors.ts";
import { encodeJson } from "../protocol/json.ts";
import { keys } from "../protocol/keys.ts";
import { allTensors, type Layout, modelSize } from "../protocol/layout.ts";
import type { JobRecord, Manifest, TrainingState } from "../protocol/records.ts";
import { at } from "../protocol/required.ts";
import { elements, encodeHeader } from "../protocol/safetensors.ts";
import { describeShard, parameterBytes } from "../protocol/shard.ts";
import type { Cloud } from "./connect.ts";
import { DamagedOnItsWay, rereading } from "./damage.ts";
import type { Store } from "./store.ts";

/** What is in memory at a time. Parts of an S3 multipart upload are at least 5 MiB. */
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

/** No folder, and none of the files that are made here. */
const MODEL_FILE = /^(?!\.\.?$|model\.safetensors$|training_state\.json$)[\w.-]+$/;

/**
 * Reads the job's model files: config.json, tokenizer files; by name.
 *
 * @throws CorruptData for a name outside of a model's directory, or the name of a file that is made here
 */
export async function modelFiles({ store }: Cloud, job: string): Promise<Map<string, Uint8Array>> {
  const prefix = keys.modelFiles(job);
  const files = new Map<string, Uint8Array>();
  for (const { key } of await store.list(prefix)) {
    const name = key.slice(prefix.length);
    if (!MODEL_FILE.test(name)) throw new CorruptData(`${key} is not a file of a model; remove it`);
    const stored = await store.get(key);
    if (stored) files.set(name, stored.body);
  }
  return files;
}

/**
 * The bytes of `model.safetensors`, streamed in parts of 8 MiB: a header, then the parameters in the order of their
 * names, which is that of the flat vector, with the frozen ones in between. Checks every shard against the manifest.
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
  let rest = encodeHeader(allTensors(layout), { format: "pt" });
  const trained = shardReader(store, layout, manifest);
  const frozen = frozenReader(store, layout, manifest.job);
  for (const run of runsOf(layout)) {
    for (let left = 4 * run.elements; left > 0; left -= PART_BYTES) {
      const chunk = new Uint8Array(Math.min(PART_BYTES, left));
      await (run.frozen ? frozen : trained)(chunk);
      whole.update(chunk);
      rest = Buffer.concat([rest, chunk]);
      for (; rest.length >= PART_BYTES; rest = rest.subarray(PART_BYTES)) yield rest.subarray(0, PART_BYTES);
    }
  }
  yield rest;
  onEnd(whole.digest("hex"));
}

/** Consecutive elements of the document that are also consecutive in the shards, or in the file of frozen parameters. */
type Run = { readonly frozen: boolean; elements: number };

/** Divides the document into runs. */
function runsOf(layout: Layout): Run[] {
  const runs: Run[] = [];
  for (const { frozen, shape } of allTensors(layout)) {
    const last = runs.at(-1);
    if (last?.frozen === frozen) last.elements += elements(shape);
    else runs.push({ frozen, elements: elements(shape) });
  }
  return runs;
}

/** Fills memory with the bytes that come next. */
type Reader = (into: Uint8Array) => Promise<void>;

/** Reads the parameters of a version's shards, one shard after the other, and checks each at its end. */
function shardReader(store: Store, layout: Layout, manifest: Manifest): Reader {
  let shard = 0;
  let offset = 0;
  let hash = createHash("sha256");
  return async (into) => {
    for (let filled = 0; filled < into.length; ) {
      const { start, end } = parameterBytes(layout, shard);
      const part = into.subarray(filled, filled + end - start - offset);
      const key = keys.shard(manifest.job, manifest.version, shard);
      if (!(await store.getInto(key, start + offset, part))) throw new TryAgain(`${key} is not there`);
      hash.update(part);
      filled += part.length;
      offset += part.length;
      if (offset < end - start) continue;
      if (hash.digest("hex") !== manifest.shards[shard]?.parameters) {
        const what = describeShard(shard, manifest.version);
        const { parameters } = at(manifest.shards, shard, `${what} in its manifest`);
        await readAgain(store, key, { what, start, end, sha256: parameters });
      }
      shard++;
      offset = 0;
      hash = createHash("sha256");
    }
  };
}

/** Reads the frozen parameters from the first to the last, and checks them at the end. */
function frozenReader(store: Store, { frozen }: Layout, job: string): Reader {
  const hash = createHash("sha256");
  const key = keys.frozen(job);
  let offset = 0;
  return async (into) => {
    if (!frozen) throw new CorruptData(`${key} is needed, but the layout has no frozen parameters`);
    if (!(await store.getInto(key, frozen.dataStart + offset, into)))
      throw new CorruptData(`${key} is missing`);
    hash.update(into);
    offset += into.length;
    if (offset === 4 * frozen.parameters && hash.digest("hex") !== frozen.sha256) {
      const { dataStart: start, sha256 } = frozen;
      await readAgain(store, key, { what: key, start, end: start + offset, sha256 });
    }
  };
}

type Extent = {
  readonly what: string;
  readonly start: number;
  readonly end: number;
  readonly sha256: string;
};

/**
 * Finds out where bytes were damaged that, read in parts, did not match their digest.
 *
 * @throws DamagedObject when they are wrong where they lie, DamagedOnItsWay when they are not
 */
async function readAgain(store: Store, key: string, { what, start, end, sha256 }: Extent): Promise<never> {
  await rereading(key, async () => {
    const hash = createHash("sha256");
    for (let offset = start; offset < end; offset += PART_BYTES) {
      const part = new Uint8Array(Math.min(PART_BYTES, end - offset));
      if (!(await store.getInto(key, offset, part))) throw new TryAgain(`${key} is not there`);
      hash.update(part);
    }
    const got = hash.digest("hex");
    if (got !== sha256)
      throw new CorruptData(`${what} is corrupt: its SHA-256 must be ${sha256}, it is ${got}`);
  });
  throw new DamagedOnItsWay(`${key} came damaged`);
}

/** `training_state.json` of a version. */
export function trainingState({ record, layout, manifest }: Assembly, sha256: string): Uint8Array {
  const state: TrainingState = {
    job: manifest.job,
    version: manifest.version,
    parameters: modelSize(layout),
    sha256,
    loss: manifest.loss,
    tokens: manifest.data.tokens,
    spec: record.spec,
    provenance: record.provenance,
  };
  return encodeJson(state);
}
