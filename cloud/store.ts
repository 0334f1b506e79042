import {
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import { sha256 } from "../protocol/digest.ts";
import { CorruptData, TryAgain } from "../protocol/errors.ts";
import { required } from "../protocol/required.ts";
import { ageIn } from "./server-time.ts";
import {
  type Created,
  httpStatusOf,
  NOT_FOUND,
  orNull,
  PRECONDITION_FAILED,
  retryConflicts,
} from "./service-errors.ts";
import { listUnfinished, removeUnfinished, type Unfinished } from "./unfinished-uploads.ts";
import {
  changed,
  PART_BYTES,
  type Source,
  type UploadOptions,
  uploadInParts,
  uploadStream,
} from "./upload.ts";

export type { Created };

export type Stored = {
  readonly body: Uint8Array;
  readonly etag: string;
  /** Milliseconds since it was stored, by S3's own clock. */
  readonly ageMs: number;
};
export type Listed = {
  readonly key: string;
  readonly size: number;
  readonly modified: Date;
  /** Milliseconds since `modified`, by S3's own clock. */
  readonly ageMs: number;
  readonly etag: string;
};

const DELETE_BATCH = 1000;

/** The verbs this system needs of S3, on one bucket. An absent object is `null`; any other failure is thrown. */
export class Store {
  readonly #client: S3Client;
  readonly #bucket: string;

  constructor(client: S3Client, bucket: string) {
    this.#client = client;
    this.#bucket = bucket;
  }

  /** A whole object, or null when there is none. */
  async get(key: string): Promise<Stored | null> {
    const command = new GetObjectCommand({ Bucket: this.#bucket, Key: key });
    const answer = await orNull(NOT_FOUND, this.#client.send(command));
    if (answer === null) return null;
    const body = new Uint8Array(required(answer.ContentLength, `ContentLength of ${key}`));
    await fill(body, answer.Body, key, 0);
    const modified = required(answer.LastModified, `LastModified of ${key}`);
    return { body, etag: required(answer.ETag, `ETag of ${key}`), ageMs: ageIn(answer, modified) };
  }

  /**
   * Reads bytes [start, start + into.length) of an object straight into `into`, as they arrive.
   *
   * @param etag of the state that is read; default: any
   * @returns false when there is no such object, or not in that state
   * @throws CorruptData when the object ends before that
   */
  async getInto(key: string, start: number, into: Uint8Array, etag?: string): Promise<boolean> {
    const range = `bytes=${start}-${start + into.length - 1}`;
    const input = { Bucket: this.#bucket, Key: key, Range: range };
    const command = new GetObjectCommand(etag === undefined ? input : { ...input, IfMatch: etag });
    const request = unlessOutOfRange(key, this.#client.send(command));
    const answer = await orNull(NOT_FOUND, orNull(PRECONDITION_FAILED, request));
    if (answer === null) return false;
    await fill(into, answer.Body, key, start);
    return true;
  }

  /** Returns the size and etag of an object, or null when there is none. */
  async find(key: string): Promise<{ readonly size: number; readonly etag: string } | null> {
    const command = new HeadObjectCommand({ Bucket: this.#bucket, Key: key });
    const answer = await orNull(NOT_FOUND, this.#client.send(command));
    if (answer === null) return null;
    return {
      size: required(answer.ContentLength, `ContentLength of ${key}`),
      etag: required(answer.ETag, `ETag of ${key}`),
    };
  }

  /** Creates an object unless one is there (If-None-Match: *); whoever comes first wins. */
  async create(key: string, body: Uint8Array): Promise<Created> {
    const command = () =>
      new PutObjectCommand({ Bucket: this.#bucket, Key: key, Body: body, IfNoneMatch: "*" });
    const answer = await orNull(
      PRECONDITION_FAILED,
      retryConflicts(key, () => this.#client.send(command())),
    );
    return answer ? "created" : "exists";
  }

  /**
   * Replaces an object if it still has `etag` (If-Match).
   *
   * @returns the new etag, or null when someone else changed it first
   */
  async replace(key: string, body: Uint8Array, etag: string): Promise<string | null> {
    const command = () => new PutObjectCommand({ Bucket: this.#bucket, Key: key, Body: body, IfMatch: etag });
    const answer = await orNull(
      PRECONDITION_FAILED,
      retryConflicts(key, () => this.#client.send(command())),
    );
    return answer && required(answer.ETag, `ETag of ${key}`);
  }

  /** All objects whose key starts with `prefix`, in key order. */
  async list(prefix: string): Promise<Listed[]> {
    const listed: Listed[] = [];
    for await (const page of this.#pages(prefix)) {
      for (const { Key, Size, LastModified, ETag } of page.Contents ?? []) {
        const key = required(Key, `Key of an object below ${prefix}`);
        const modified = required(LastModified, `LastModified of ${key}`);
        const size = required(Size, `Size of ${key}`);
        const etag = required(ETag, `ETag of ${key}`);
        listed.push({ key, size, modified, ageMs: ageIn(page, modified), etag });
      }
    }
    return listed;
  }

  /** The "folders" right below `prefix`, each with its trailing slash. */
  async listFolders(prefix: string): Promise<string[]> {
    const folders: string[] = [];
    for await (const page of this.#pages(prefix, "/")) {
      for (const { Prefix } of page.CommonPrefixes ?? []) {
        folders.push(required(Prefix, `Prefix of a folder below ${prefix}`));
      }
    }
    return folders;
  }

  async *#pages(prefix: string, delimiter?: string) {
    let token: string | undefined;
    do {
      const page = await this.#client.send(
        new ListObjectsV2Command({
          Bucket: this.#bucket,
          Prefix: prefix,
          Delimiter: delimiter,
          ContinuationToken: token,
        }),
      );
      yield page;
      token = page.NextContinuationToken;
    } while (token !== undefined);
  }

  /** Deletes objects; those already gone are no error. */
  async remove(keys: readonly string[]): Promise<void> {
    for (let i = 0; i < keys.length; i += DELETE_BATCH) {
      const objects = keys.slice(i, i + DELETE_BATCH).map((Key) => ({ Key }));
      const answer = await this.#client.send(
        new DeleteObjectsCommand({ Bucket: this.#bucket, Delete: { Objects: objects, Quiet: true } }),
      );
      const [failed] = answer.Errors ?? [];
      if (failed) throw new TryAgain(`could not delete ${failed.Key}: ${failed.Code} ${failed.Message}`);
    }
  }

  /** Deletes everything below a prefix. */
  async removeAll(prefix: string): Promise<void> {
    const keys = (await this.list(prefix)).map((object) => object.key);
    await this.remove(keys);
  }

  /** Uploads in parts that were begun before `time`, never finished, and have got no part since. */
  unfinishedUploads(time: Date): Promise<Unfinished[]> {
    return listUnfinished({ client: this.#client, name: this.#bucket }, time);
  }

  /** Removes such an upload. @returns false when it has got a part since `time`, or is gone */
  removeUpload(upload: Unfinished, time: Date): Promise<boolean> {
    return removeUnfinished({ client: this.#client, name: this.#bucket }, upload, time);
  }

  /**
   * Creates an object from a source, under a key that its content determines. A large one is sent in parts, several at a
   * time; after a failure or a crash the next call sends only what is missing.
   *
   * @throws InvalidInput when the source is not what `options.sha256` says
   */
  async createFrom(key: string, source: Source, options: UploadOptions = {}): Promise<Created> {
    if (source.size > PART_BYTES) {
      return uploadInParts({ client: this.#client, bucket: this.#bucket, key }, source, options);
    }
    const body = new Uint8Array(source.size);
    await source.read(body, 0);
    if (options.sha256 !== undefined && sha256(body) !== options.sha256) throw changed(source);
    const created = await this.create(key, body);
    options.onPart?.({ bytes: body.length, sent: true });
    return created;
  }

  /**
   * Creates a large object from parts, each but the last at least 5 MiB, holding one part at a time.
   * It becomes visible only when it is complete.
   */
  createFromParts(key: string, parts: AsyncIterable<Uint8Array>): Promise<Created> {
    return uploadStream({ client: this.#client, bucket: this.#bucket, key }, parts);
  }
}

/** Copies a body into memory as it arrives. */
async function fill(into: Uint8Array, body: unknown, key: string, start: number): Promise<void> {
  if (!isByteStream(body)) throw new CorruptData(`Body of ${key} is missing`);
  let filled = 0;
  for await (const chunk of body) {
    if (filled + chunk.length > into.length) throw new CorruptData(`${key}: more bytes came than asked for`);
    into.set(chunk, filled);
    filled += chunk.length;
  }
  if (filled < into.length) {
    throw new CorruptData(
      `${key} is truncated: ${into.length} bytes at ${start} wanted, ${filled} are there`,
    );
  }
}

/** In Node, the SDK gives a body as a stream of bytes. */
const isByteStream = (body: unknown): body is AsyncIterable<Uint8Array> =>
  typeof body === "object" && body !== null && Symbol.asyncIterator in body;

async function unlessOutOfRange<T>(key: string, request: Promise<T>): Promise<T> {
  try {
    return await request;
  } catch (error) {
    if (httpStatusOf(error) !== 416) throw error;
    throw new CorruptData(`${key} is truncated: it ends before the bytes wanted`, { cause: error });
  }
}
