import { createHash } from "node:crypto";
import type { Cloud } from "../cloud/connect.ts";
import type { Store } from "../cloud/store.ts";
import { bytesOf, requireDigest } from "../protocol/digest.ts";
import { CorruptData } from "../protocol/errors.ts";
import { keys } from "../protocol/keys.ts";
import { type Frozen, type Layout, layOutByName, type Parameter } from "../protocol/layout.ts";
import { encodeHeader } from "../protocol/safetensors.ts";
import { fillRange, type Initial } from "./initial.ts";

/** The parameters that do not train: stored once for a job, pulled once by each worker. */

/** What is in memory at a time. Parts of an S3 multipart upload are at least 5 MiB. */
const PART_ELEMENTS = 2 * 1024 * 1024;

/** Writes `frozen.safetensors`, create-only, and returns its entry of the layout. */
export async function storeFrozen(
  store: Store,
  job: string,
  parameters: readonly Parameter[],
  initial: Initial,
): Promise<Frozen> {
  const { tensors, total } = layOutByName(parameters);
  const header = encodeHeader(tensors, { format: "pt" });
  const hash = createHash("sha256");

  async function* parts() {
    let before = header;
    for (let start = 0; start < total; start += PART_ELEMENTS) {
      const values = new Float32Array(Math.min(PART_ELEMENTS, total - start));
      await fillRange(initial, tensors, start, values);
      hash.update(bytesOf(values));
      yield Buffer.concat([before, bytesOf(values)]);
      before = new Uint8Array();
    }
  }
  await store.createFromParts(keys.frozen(job), parts());
  return { parameters: total, tensors, dataStart: header.length, sha256: hash.digest("hex") };
}

/**
 * Pulls the values of a job's frozen parameters. Returns null when it has none.
 *
 * @throws CorruptData when they are missing or were changed
 */
export async function pullFrozen(
  { store }: Cloud,
  job: string,
  { frozen }: Layout,
): Promise<Float32Array | null> {
  if (!frozen) return null;
  const key = keys.frozen(job);
  const values = new Float32Array(frozen.parameters);
  const check = () => requireDigest(bytesOf(values), frozen.sha256, key);
  if (await store.getInto(key, frozen.dataStart, bytesOf(values), { check })) return values;
  throw new CorruptData(`${key} is missing`);
}
