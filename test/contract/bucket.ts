import assert from "node:assert/strict";
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandInput,
  ListObjectsV2Command,
  type ListObjectsV2CommandInput,
  PutObjectCommand,
  type PutObjectCommandInput,
} from "@aws-sdk/client-s3";
import { refusal } from "../local/support.ts";
import { type Endpoint, uniqueName } from "./endpoint.ts";

export const MIB = 1024 * 1024;

type Put = Omit<PutObjectCommandInput, "Bucket">;
type Get = Omit<GetObjectCommandInput, "Bucket">;

/** A bucket of its own on an endpoint, with short ways to what the rows do most. */
export type TestBucket = Awaited<ReturnType<typeof openBucket>>;

export async function openBucket({ s3, deviates }: Endpoint) {
  const Bucket = uniqueName("bucket");
  await s3.send(new CreateBucketCommand({ Bucket }));

  const put = (input: Put) => s3.send(new PutObjectCommand({ Bucket, ...input }));

  /** What a GET answers, with its body read: one left unread would keep its connection. */
  async function get(input: Get) {
    const { Body, ...answer } = await s3.send(new GetObjectCommand({ Bucket, ...input }));
    return { ...answer, bytes: Buffer.from((await Body?.transformToByteArray()) ?? []) };
  }

  const read = async (input: Get): Promise<Buffer> => (await get(input)).bytes;

  /** Every listed key and common prefix, page after page, decoded. */
  async function keys(input: Omit<ListObjectsV2CommandInput, "Bucket">): Promise<string[]> {
    const found: string[] = [];
    for (let ContinuationToken: string | undefined; ; ) {
      const token = ContinuationToken === undefined ? {} : { ContinuationToken };
      const page = await s3.send(new ListObjectsV2Command({ Bucket, ...input, ...token }));
      const names = [
        ...(page.Contents ?? []).map((o) => o.Key),
        ...(page.CommonPrefixes ?? []).map((p) => p.Prefix),
      ];
      assert.equal(page.KeyCount, names.length);
      if (input.MaxKeys) assert.ok(names.length <= input.MaxKeys);
      const decode = (name = "") =>
        input.EncodingType ? decodeURIComponent(name.replaceAll("+", " ")) : name;
      found.push(...names.map(decode));
      assert.equal(page.IsTruncated ?? false, page.NextContinuationToken !== undefined);
      if (!page.NextContinuationToken) return found;
      ContinuationToken = page.NextContinuationToken;
    }
  }

  async function empty(): Promise<void> {
    for (const Key of await keys({ EncodingType: "url" }))
      await s3.send(new DeleteObjectCommand({ Bucket, Key }));
  }

  return { s3, Bucket, deviates, put, get, read, keys, empty };
}

/** Which of some calls were answered, and with which status the others were refused. */
export async function outcomes(
  calls: readonly Promise<unknown>[],
): Promise<{ won: number[]; lost: number[] }> {
  const won: number[] = [];
  const lost: number[] = [];
  const note = (call: Promise<unknown>, i: number) =>
    call.then(
      () => won.push(i),
      async () => lost.push((await refusal(call)).status),
    );
  await Promise.all(calls.map(note));
  return { won, lost };
}
