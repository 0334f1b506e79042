import { createHash, type Hash } from "node:crypto";
import { crc32 } from "node:zlib";
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  type Part,
  type S3Client,
  S3ServiceException,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { InvalidInput, TryAgain } from "../protocol/errors.ts";
import { required } from "../protocol/required.ts";
import { log } from "./log.ts";
import { type Created, NOT_FOUND, orNull, PRECONDITION_FAILED, retryConflicts } from "./service-errors.ts";

/** Bytes that can be read from any position, such as a file. */
export type Source = {
  /** Names it in errors. */
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** Fills `into` from byte `position` on. */
  read(into: Uint8Array, position: number): Promise<void>;
};

export type UploadOptions = {
  /** Of the whole source: an object is created of nothing else. */
  readonly sha256?: string | undefined;
  /** Called after each part. `sent` is false for one that an earlier upload left. */
  readonly onPart?: ((part: { readonly bytes: number; readonly sent: boolean }) => void) | undefined;
};

/** The object that an upload creates. */
type Destination = { readonly client: S3Client; readonly bucket: string; readonly key: string };
type Upload = { readonly Bucket: string; readonly Key: string; readonly UploadId: string };

/** A source up to this size is sent in one request. Parts but the last have at least 5 MiB on S3. */
export const PART_BYTES = 8 << 20;
const MAX_PARTS = 10_000;
/** Several connections fill a line that one does not. Each has a part in memory, which it reads and sends. */
const SENDERS = 5;
const MAX_TRIES = 5;

/**
 * Creates an object from a source under a key that the content determines, in parts. Resumes an upload to that key that
 * was cut short: parts with the same checksum are not sent again. A failure leaves the parts for the next time.
 *
 * @throws InvalidInput when the source does not have the digest `sha256`
 */
export async function uploadInParts(
  object: Destination,
  source: Source,
  options: UploadOptions = {},
): Promise<Created> {
  for (let attempt = 1; ; attempt++) {
    const { mine, others } = await findOrBegin(object);
    const created = await finish(object, mine, source, options);
    if (created !== null || (await exists(object))) {
      for (const upload of others) await abort(object, upload);
      return created ?? "exists";
    }
    if (attempt === MAX_TRIES)
      throw new TryAgain(`${object.key}: another process got in the way of its upload ${MAX_TRIES} times`);
  }
}

/**
 * Creates an object from parts as they come, each but the last at least 5 MiB; holds one at a time. A failure leaves
 * nothing: the content is not known beforehand, so nobody could resume it.
 */
export async function uploadStream(object: Destination, bodies: AsyncIterable<Uint8Array>): Promise<Created> {
  const upload = await begin(object);
  try {
    const parts: CompletedPart[] = [];
    for await (const body of bodies) parts.push(await sendPart(object, upload, parts.length + 1, body));
    const created = await complete(object, upload, parts);
    if (created === "exists") await abort(object, upload);
    return created;
  } catch (error) {
    await abort(object, upload).catch((also: unknown) =>
      log.warn("upload not removed", { key: object.key, error: also }),
    );
    throw error;
  }
}

async function sendPart({ client }: Destination, upload: Upload, PartNumber: number, Body: Uint8Array) {
  const part = { PartNumber, ChecksumCRC32: crc32Of(Body) };
  const { ETag } = await client.send(new UploadPartCommand({ ...upload, ...part, Body }));
  return { ...part, ETag: required(ETag, `ETag of part ${PartNumber}`) };
}

/** Returns null when another process, at the same upload, replaced its parts, completed or removed it meanwhile. */
async function finish(
  object: Destination,
  upload: Upload,
  source: Source,
  options: UploadOptions,
): Promise<Created | null> {
  try {
    const sent = await sendParts(object, upload, source, options);
    if (options.sha256 !== undefined && sent.sha256 !== options.sha256) {
      await abort(object, upload);
      throw changed(source);
    }
    const created = await complete(object, upload, sent.parts);
    if (created === "exists") await abort(object, upload);
    return created;
  } catch (error) {
    if (error instanceof S3ServiceException && SHARED.includes(error.name)) return null;
    throw error;
  }
}

/** S3 answers with these when another process works on the same upload. */
const SHARED = ["NoSuchUpload", "InvalidPart"];

async function complete(
  { client, key }: Destination,
  upload: Upload,
  Parts: CompletedPart[],
): Promise<Created> {
  const request = { ...upload, MultipartUpload: { Parts }, IfNoneMatch: "*" };
  const command = () => client.send(new CompleteMultipartUploadCommand(request));
  return (await orNull(PRECONDITION_FAILED, retryConflicts(key, command))) ? "created" : "exists";
}

export function changed({ name }: Source): InvalidInput {
  return new InvalidInput(`${name} was changed while it was read; submit again`);
}

/** Finds the upload that got furthest, or begins one; and any others to this key. */
async function findOrBegin(object: Destination): Promise<{ mine: Upload; others: Upload[] }> {
  const resumable: { upload: Upload; parts: number }[] = [];
  for (const upload of await unfinished(object)) {
    const parts = await orNull(NOT_FOUND, storedParts(object, upload));
    if (parts !== null) resumable.push({ upload, parts: parts.size });
  }
  const [best, ...others] = resumable.toSorted((a, b) => b.parts - a.parts).map(({ upload }) => upload);
  return { mine: best ?? (await begin(object)), others };
}

async function unfinished({ client, bucket, key }: Destination): Promise<Upload[]> {
  // What a crash leaves at one key fits on a page of a thousand.
  const { Uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: key }));
  const ours = (Uploads ?? []).filter(({ Key }) => Key === key);
  return ours.map(({ UploadId }) => uploadOf(bucket, key, UploadId));
}

async function begin({ client, bucket, key }: Destination): Promise<Upload> {
  const target = { Bucket: bucket, Key: key };
  const command = new CreateMultipartUploadCommand({ ...target, ChecksumAlgorithm: "CRC32" });
  return uploadOf(bucket, key, (await client.send(command)).UploadId);
}

const uploadOf = (Bucket: string, Key: string, id: string | undefined): Upload => ({
  Bucket,
  Key,
  UploadId: required(id, `UploadId of an upload to ${Key}`),
});

async function storedParts({ client }: Destination, upload: Upload): Promise<Map<number, Part>> {
  const parts = new Map<number, Part>();
  for (let marker: string | undefined; ; ) {
    const page = await client.send(new ListPartsCommand({ ...upload, PartNumberMarker: marker }));
    for (const part of page.Parts ?? []) parts.set(required(part.PartNumber, "PartNumber"), part);
    if (!page.IsTruncated) return parts;
    marker = page.NextPartNumberMarker;
  }
}

/** Reads the source once, in order, and sends the parts that are not stored yet, several at a time. */
async function sendParts(object: Destination, upload: Upload, source: Source, { onPart }: UploadOptions) {
  const stored = await storedParts(object, upload);
  const hash = createHash("sha256");
  const bodies = readParts(source, hash);
  const parts: CompletedPart[] = [];
  // They share one iterator: each takes the next part when it has sent its last.
  const sendSome = async () => {
    for await (const { number, body } of bodies) {
      const there = storedPart(stored.get(number), body);
      parts[number - 1] = there ?? (await sendPart(object, upload, number, body));
      onPart?.({ bytes: body.length, sent: there === null });
    }
  };
  const senders = await Promise.allSettled(Array.from({ length: SENDERS }, sendSome));
  for (const sender of senders) if (sender.status === "rejected") throw sender.reason;
  return { parts, sha256: hash.digest("hex") };
}

/** Reads a source part by part; part numbers begin at 1. */
async function* readParts(source: Source, hash: Hash): AsyncGenerator<{ number: number; body: Uint8Array }> {
  const size = partBytes(source.size);
  for (let start = 0; start < source.size; start += size) {
    const body = new Uint8Array(Math.min(size, source.size - start));
    await source.read(body, start);
    hash.update(body);
    yield { number: start / size + 1, body };
  }
}

/** Returns a part as the end of the upload names it, when it is stored with this body; else null. */
function storedPart(part: Part | undefined, body: Uint8Array): CompletedPart | null {
  const ChecksumCRC32 = crc32Of(body);
  if (part?.ChecksumCRC32 !== ChecksumCRC32 || part.Size !== body.length) return null;
  return { PartNumber: part.PartNumber, ChecksumCRC32, ETag: required(part.ETag, "ETag of a part") };
}

/** A multiple of a MiB that cuts the source into at most 10,000 parts. */
const partBytes = (size: number): number =>
  Math.max(PART_BYTES, Math.ceil(size / MAX_PARTS / 2 ** 20) * 2 ** 20);

/** Returns the CRC32 of a body as S3 writes it: base64. */
export function crc32Of(body: Uint8Array): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(body));
  return bytes.toString("base64");
}

async function exists({ client, bucket, key }: Destination): Promise<boolean> {
  return (await orNull(NOT_FOUND, client.send(new HeadObjectCommand({ Bucket: bucket, Key: key })))) !== null;
}

async function abort({ client }: Destination, upload: Upload): Promise<void> {
  await orNull(NOT_FOUND, client.send(new AbortMultipartUploadCommand(upload)));
}
