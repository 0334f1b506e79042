import {
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type PutObjectCommandInput,
  type S3Client,
} from "@aws-sdk/client-s3";
import { sha256 } from "../protocol/digest.ts";
import { TryAgain } from "../protocol/errors.ts";
import { required } from "../protocol/required.ts";
import { askForChecksum, checkCrc, fill, unlessOutOfRange } from "./body.ts";
import { rereading } from "./damage.ts";
import { ageIn } from "./server-time.ts";
import { type Created, NOT_FOUND, orNull, PRECONDITION_FAILED, retryConflicts } from "./service-errors.ts";
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

type ReadOptions = {
  readonly etag?: string | undefined;
  readonly check?: (() => void | Promise<void>) | undefined;
};

const DELETE_BATCH = 1000;
/** Asked for with a checksum even where a digest is checked: a header has more in it. */
const SMALL_BYTES = 64 * 1024;

/** The verbs this system needs of S3, on one bucket. An absent object is `null`; any other failure is thrown. */
export class Store {
  readonly #client: S3Client;
  readonly #bucket: string;

  constructor(client: S3Client, bucket: string) {
    this.#client = client;
    this.#bucket = bucket;
  }

  /** A whole object, or null when there is none. What came must have the CRC32 that S3 stored with the object. */
  get(key: string): Promise<Stored | null> {
    return rereading(key, async () => {
      const answer = await this.#getWhole(key, true);
      if (answer === null) return null;
      const { crc32, ...stored } = answer;
      checkCrc(key, stored.body, crc32);
      return stored;
    });
  }

  /**
   * A whole object as `open` makes of it, or null when there is none. For what has digests of its own, which `open`
   * checks: what does not match is read again.
   *
   * @param open throws CorruptData
   * @throws DamagedObject when it is wrong however often it is read
   */
  getAs<T>(key: string, open: (body: Uint8Array) => T): Promise<T | null> {
    return rereading(key, async () => {
      const answer = await this.#getWhole(key, false);
      return answer && open(answer.body);
    });
  }

  async #getWhole(key: string, withCrc: boolean) {
    const command = new GetObjectCommand({ Bucket: this.#bucket, Key: key });
    if (withCrc) askForChecksum(command);
    const answer = await orNull(NOT_FOUND, this.#client.send(command));
    if (answer === null) return null;
    const body = new Uint8Array(required(answer.ContentLength, `ContentLength of ${key}`));
    await fill(body, answer.Body, key, 0);
    const age = ageIn(answer, required(answer.LastModified, `LastModified of ${key}`));
    return { body, etag: required(answer.ETag, `ETag of ${key}`), ageMs: age, crc32: answer.ChecksumCRC32 };
  }

  /**
   * Reads bytes [start, start + into.length) of an object straight into `into`, as they arrive.
   *
   * @param options.etag of the state that is read; default: any
   * @param options.check throws CorruptData when they do not match their digest: then they are read again
   * @returns false when there is no such object, or not in that state
   * @throws DamagedObject when the object ends before that, or is wrong however often it is read
   */
  getInto(key: string, start: number, into: Uint8Array, { etag, check }: ReadOptions = {}): Promise<boolean> {
    const range = `bytes=${start}-${start + into.length - 1}`;
    const input = { Bucket: this.#bucket, Key: key, Range: range };
    return rereading(key, async () => {
      const command = new GetObjectCommand(etag === undefined ? input : { ...input, IfMatch: etag });
      if (check === undefined || into.length <= SMALL_BYTES) askForChecksum(command);
      const request = unlessOutOfRange(key, this.#client.send(command));
      const answer = await orNull(NOT_FOUND, orNull(PRECONDITION_FAILED, request));
      if (answer === null) return false;
      await fill(into, answer.Body, key, start);
      await check?.();
      return true;
    });
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
    return (await this.#put(key, { Body: body, IfNoneMatch: "*" })) ? "created" : "exists";
  }

  /**
   * Replaces an object if it still has `etag` (If-Match).
   *
   * @returns the new etag, or null when someone else changed it first
   */
  async replace(key: string, body: Uint8Array, etag: string): Promise<string | null> {
    const answer = await this.#put(key, { Body: body, IfMatch: etag });
    return answer && required(answer.ETag, `ETag of ${key}`);
  }

  /** Returns null when the condition did not hold. */
  #put(key: string, put: Pick<PutObjectCommandInput, "Body" | "IfMatch" | "IfNoneMatch">) {
    const command = () => new PutObjectCommand({ Bucket: this.#bucket, Key: key, ...put });
    const request = () => this.#client.send(command());
    return orNull(PRECONDITION_FAILED, retryConflicts(key, request));
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
