import { z } from "zod";
import { bytesOf, requireDigest, sha256 } from "./digest.ts";
import { CorruptData } from "./errors.ts";
import { type Layout, lengthOf } from "./layout.ts";
import { parseAs } from "./parse.ts";
import { type Report, reportSchema } from "./piece.ts";
import { at, required } from "./required.ts";
import { encodeHeader, type Header, parseHeader } from "./safetensors.ts";

/**
 * A shard of a version: parameters first, then the optimizer's slots, in one safetensors file whose header has a
 * fixed size. The one PUT of this file is the commit of a shard's step.
 */

/** The origin of a shard: one record per rank, in rank order; empty for version 0. */
const originSchema = z.array(z.strictObject({ digest: z.string(), ...reportSchema.shape }));
export type Origin = readonly ({ readonly digest: string } & Report)[];

export type Shard = {
  readonly version: number;
  readonly shard: number;
  /** The whole file; `parameters` and `slots` are views into it. */
  readonly file: Uint8Array;
  readonly parameters: Float32Array;
  readonly slots: readonly Float32Array[];
};

export type ShardHeader = {
  /** SHA-256 of the parameters' bytes. */
  readonly parameters: string;
  readonly origin: Origin;
  readonly aggregateMs: number;
};

/** A zeroed shard, to be filled in and then sealed. */
export function blankShard(layout: Layout, shard: number, version: number, slots: readonly string[]): Shard {
  const length = lengthOf(rangeOf(layout, shard));
  const file = new Uint8Array(layout.headerBytes + 4 * length * (1 + slots.length));
  return viewShard(layout, shard, version, slots.length, file);
}

function viewShard(
  layout: Layout,
  shard: number,
  version: number,
  slotCount: number,
  bytes: Uint8Array,
): Shard {
  const file = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const length = lengthOf(rangeOf(layout, shard));
  const vector = (i: number) =>
    new Float32Array(file.buffer, file.byteOffset + layout.headerBytes + 4 * length * i, length);
  const slots = Array.from({ length: slotCount }, (_, i) => vector(i + 1));
  return { version, shard, file, parameters: vector(0), slots };
}

/** Writes the header over a shard whose vectors are final. Returns the shard's file, ready to be stored. */
export function sealShard(
  layout: Layout,
  shard: Shard,
  slots: readonly string[],
  origin: Origin,
  aggregateMs: number,
): Uint8Array {
  const shape = [shard.parameters.length];
  const entries = ["parameters", ...slots].map((name) => ({ name, shape }));
  const metadata = {
    version: String(shard.version),
    shard: String(shard.shard),
    digests: JSON.stringify([shard.parameters, ...shard.slots].map((vector) => sha256(bytesOf(vector)))),
    origin: JSON.stringify(origin),
    aggregateMs: String(aggregateMs),
  };
  shard.file.set(encodeHeader(entries, metadata, layout.headerBytes));
  return shard.file;
}

/**
 * Reads a whole shard and checks every vector against its digest.
 *
 * @throws CorruptData when the file is truncated, altered, or another shard
 */
export function openShard(
  layout: Layout,
  shard: number,
  version: number,
  slots: readonly string[],
  file: Uint8Array,
): Shard {
  const what = describeShard(shard, version);
  const header = parseHeader(file, what, file.length);
  const digests = checkHeader(header, layout, shard, version, ["parameters", ...slots]);
  const opened = viewShard(layout, shard, version, slots.length, file);
  for (const [i, vector] of [opened.parameters, ...opened.slots].entries()) {
    const name = at(["parameters", ...slots], i, "the name of a vector");
    const digest = at(digests, i, `${what}: the digest of ${name}`);
    requireDigest(bytesOf(vector), digest, `vector ${name} of ${what}`);
  }
  return opened;
}

/** Reads just the header of a shard from its first `layout.headerBytes` bytes. */
export function readShardHeader(
  layout: Layout,
  shard: number,
  version: number,
  bytes: Uint8Array,
): ShardHeader {
  const what = describeShard(shard, version);
  const header = parseHeader(bytes, what);
  const digests = checkHeader(header, layout, shard, version, ["parameters"]);
  const parameters = at(digests, 0, `${what}: the digest of its parameters`);
  const { metadata } = header;
  const origin = parseAs(
    originSchema,
    required(metadata.origin, `${what}: its origin`),
    `${what}: its origin`,
  );
  const aggregateMs = Number(required(metadata.aggregateMs, `${what}: its aggregateMs`));
  return { parameters, origin, aggregateMs };
}

/** The byte range [start, end) of a shard's parameters inside its file. */
export function parameterBytes(layout: Layout, shard: number): { start: number; end: number } {
  const start = layout.headerBytes;
  return { start, end: start + 4 * lengthOf(rangeOf(layout, shard)) };
}

export const describeShard = (shard: number, version: number): string =>
  `shard ${shard} of version ${version}`;

/** @throws CorruptData when the layout has no such shard */
export function rangeOf(layout: Layout, shard: number): { start: number; end: number } {
  const range = layout.shards[shard];
  if (!range) throw new CorruptData(`shard must be below ${layout.shards.length}, got ${shard}`);
  return range;
}

function checkHeader(
  header: Header,
  layout: Layout,
  shard: number,
  version: number,
  names: readonly string[],
): string[] {
  const what = describeShard(shard, version);
  const { metadata, tensors, dataStart } = header;
  if (metadata.version !== String(version) || metadata.shard !== String(shard)) {
    throw new CorruptData(`${what}: the object says it is shard ${metadata.shard} of ${metadata.version}`);
  }
  if (dataStart !== layout.headerBytes) {
    throw new CorruptData(`${what}: its header must be ${layout.headerBytes} bytes, got ${dataStart}`);
  }
  const length = lengthOf(rangeOf(layout, shard));
  for (const [i, name] of names.entries()) {
    const tensor = tensors.get(name);
    if (tensor?.begin !== 4 * length * i || tensor.end !== 4 * length * (i + 1)) {
      throw new CorruptData(
        `${what}: tensor ${name} must be vector ${i} of the file and have ${length} elements`,
      );
    }
  }
  return parseAs(
    z.array(z.string()),
    required(metadata.digests, `${what}: its digests`),
    `${what}: its digests`,
  );
}
