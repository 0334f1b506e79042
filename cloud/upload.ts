import { createHash } from "node:crypto";
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
import { log } from "./log.ts";
import { type Created, NOT_FOUND, orNull, PRECONDITION_FAILED, retryConflicts } from "./service-errors.ts";

/** Bytes that can be read from any place, such as a file. */
export type Source = {
  /** Names it in errors. */
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** Fills `into` from byte `position` on. */
  read(into: Uint8Array, position: number): Promise<void>;
};

export type UploadOptions = {
  /** Of the whole source: no object is made of anything else. */
  readonly sha256?: string | undefined;
  /** Told after each part. `sent` is false for one that an earlier upload left. */
  readonly onPart?: ((part: { readonly bytes: number; readonly sent: boolean }) => void) | undefined;
};

/** The object that is made. */
type Place = { readonly client: S3Client; readonly bucket: string; readonly key: string };
type Upload = { readonly Bucket: string; readonly Key: string; readonly UploadId: string };

/** A source up to this size is sent in one request. Parts but the last have at least 5 MiB on S3. */
export const PART_BYTES = 8 << 20;
const MOST_PARTS = 10_000;
/** Several connections fill a line that one does not; each holds a part in memory. */
const PARTS_IN_FLIGHT = 4;
const TRIES = 5;

/**
 * Creates an object from a source under a key that the content determines, in parts. What a cut-short upload to that key
 * left is taken up: parts with the same checksum are not sent again. A failure leaves the parts for the next time.
 *
 * @throws InvalidInput when the source is not what `sha256` says
 */
export async function uploadInParts(
  place: Place,
  source: Source,
  options: UploadOptions = {},
): Promise<Created> {
  for (let attempt = 1; ; attempt++) {
    const { mine, others } = await takeUp(place);
    const created = await finish(place, mine, source, options);
    if (created !== null || (await isThere(place))) {
      for (const upload of others) await abort(place, upload);
      return created ?? "exists";
    }
    if (attempt === TRIES)
      throw new TryAgain(`${place.key}: another process got in the way of its upload ${TRIES} times`);
  }
}

/**
 * Creates an object from parts as they come, each but the last at least 5 MiB; holds one at a time. A failure leaves
 * nothing: what comes is not known beforehand, so nobody could take it up.
 */
export async function uploadStream(place: Place, bodies: AsyncIterable<Uint8Array>): Promise<Created> {
  const upload = await begin(place);
  try {
    const parts: CompletedPart[] = [];
    for await (const body of bodies) parts.push(await sendPart(place, upload, parts.length + 1, body));
    const created = await complete(place, upload, parts);
    if (created === "exists") await abort(place, upload);
    return created;
  } catch (error) {
    await abort(place, upload).catch((also: unknown) =>
      log.warn("upload not removed", { key: place.key, error: also }),
    );
    throw error;
  }
}

async function sendPart({ client }: Place, upload: Upload, PartNumber: number, Body: Uint8Array) {
  const part = { PartNumber, ChecksumCRC32: checksumOf(Body) };
  const { ETag } = await client.send(new UploadPartCommand({ ...upload, ...part, Body }));
  return { ...part, ETag };
}

/** Null when another process works on the same upload, and replaced its parts, completed or removed it meanwhile. */
async function finish(
  place: Place,
  upload: Upload,
  source: Source,
  options: UploadOptions,
): Promise<Created | null> {
  try {
    const sent = await sendParts(place, upload, source, options);
    if (options.sha256 !== undefined && sent.sha256 !== options.sha256) {
      await abort(place, upload);
      throw changed(source);
    }
    const created = await complete(place, upload, sent.parts);
    if (created === "exists") await abort(place, upload);
    return created;
  } catch (error) {
    if (error instanceof S3ServiceException && SHARED.includes(error.name)) return null;
    throw error;
  }
}

/** What one who shares an upload with another process is answered. */
const SHARED = ["NoSuchUpload", "InvalidPart"];

async function complete({ client, key }: Place, upload: Upload, Parts: CompletedPart[]): Promise<Created> {
  const request = { ...upload, MultipartUpload: { Parts }, IfNoneMatch: "*" };
  const command = () => client.send(new CompleteMultipartUploadCommand(request));
  return (await orNull(PRECONDITION_FAILED, retryConflicts(key, command))) ? "created" : "exists";
}

export function changed({ name }: Source): InvalidInput {
  return new InvalidInput(`${name} was changed while it was read; submit again`);
}

/** The upload that got furthest, else a new one, and any others to this key. */
async function takeUp(place: Place): Promise<{ mine: Upload; others: Upload[] }> {
  const found: { upload: Upload; parts: number }[] = [];
  for (const upload of await unfinished(place)) {
    const parts = await orNull(NOT_FOUND, storedParts(place, upload));
    if (parts !== null) found.push({ upload, parts: parts.size });
  }
  const [best, ...others] = found.toSorted((a, b) => b.parts - a.parts).map(({ upload }) => upload);
  return { mine: best ?? (await begin(place)), others };
}

async function unfinished({ client, bucket, key }: Place): Promise<Upload[]> {
  // What a crash leaves at one key fits on a page of a thousand.
  const { Uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: key }));
  return (Uploads ?? []).flatMap(({ Key, UploadId }) =>
    Key === key && UploadId !== undefined ? [{ Bucket: bucket, Key, UploadId }] : [],
  );
}

async function begin({ client, bucket, key }: Place): Promise<Upload> {
  const target = { Bucket: bucket, Key: key };
  const command = new CreateMultipartUploadCommand({ ...target, ChecksumAlgorithm: "CRC32" });
  const { UploadId = "" } = await client.send(command);
  return { ...target, UploadId };
}

async function storedParts({ client }: Place, upload: Upload): Promise<Map<number, Part>> {
  const parts = new Map<number, Part>();
  for (let marker: string | undefined; ; ) {
    const page = await client.send(new ListPartsCommand({ ...upload, PartNumberMarker: marker }));
    for (const part of page.Parts ?? []) parts.set(part.PartNumber ?? 0, part);
    if (!page.IsTruncated) return parts;
    marker = page.NextPartNumberMarker;
  }
}

/** Reads the source once, in order, and sends the parts that are not there, several at a time. */
async function sendParts(place: Place, upload: Upload, source: Source, { onPart }: UploadOptions) {
  const stored = await storedParts(place, upload);
  const hash = createHash("sha256");
  const parts: CompletedPart[] = [];
  const inFlight = new Set<Promise<void>>();
  const step = partBytes(source.size);
  try {
    for (let at = 0; at < source.size; at += step) {
      const body = new Uint8Array(Math.min(step, source.size - at));
      await source.read(body, at);
      hash.update(body);
      const number = at / step + 1;
      const ChecksumCRC32 = checksumOf(body);
      const known = stored.get(number);
      if (known?.ChecksumCRC32 === ChecksumCRC32 && known.Size === body.length) {
        parts[number - 1] = { PartNumber: number, ChecksumCRC32, ETag: known.ETag };
        onPart?.({ bytes: body.length, sent: false });
        continue;
      }
      while (inFlight.size >= PARTS_IN_FLIGHT) await Promise.race(inFlight);
      const send = async () => {
        parts[number - 1] = await sendPart(place, upload, number, body);
        inFlight.delete(sending);
        onPart?.({ bytes: body.length, sent: true });
      };
      const sending = send();
      // Awaited above or below; this keeps a failure from counting as unhandled in between.
      sending.catch(() => {});
      inFlight.add(sending);
    }
    await Promise.all(inFlight);
  } finally {
    await Promise.allSettled(inFlight);
  }
  return { parts, sha256: hash.digest("hex") };
}

/** A multiple of a MiB that cuts the source into at most 10,000 parts. */
const partBytes = (size: number): number =>
  Math.max(PART_BYTES, Math.ceil(size / MOST_PARTS / 2 ** 20) * 2 ** 20);

function checksumOf(body: Uint8Array): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(body));
  return bytes.toString("base64");
}

async function isThere({ client, bucket, key }: Place): Promise<boolean> {
  return (await orNull(NOT_FOUND, client.send(new HeadObjectCommand({ Bucket: bucket, Key: key })))) !== null;
}

async function abort({ client }: Place, upload: Upload): Promise<void> {
  await orNull(NOT_FOUND, client.send(new AbortMultipartUploadCommand(upload)));
}
