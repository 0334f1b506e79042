import {
  AbortMultipartUploadCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListPartsCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import { required } from "../protocol/required.ts";
import { NOT_FOUND, orNull } from "./service-errors.ts";

/** An upload in parts that was neither completed nor aborted. Its parts are stored, and paid for. */
export type Unfinished = { readonly key: string; readonly id: string; readonly begun: Date };

type Bucket = { readonly client: S3Client; readonly name: string };

/** The unfinished uploads to a bucket that were begun before `time` and have got no part since. */
export async function listUnfinished(bucket: Bucket, time: Date): Promise<Unfinished[]> {
  const uploads: Unfinished[] = [];
  let marker: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } | null = {};
  while (marker !== null) {
    const command = new ListMultipartUploadsCommand({ Bucket: bucket.name, ...marker });
    const page: ListMultipartUploadsCommandOutput = await bucket.client.send(command);
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      const key = required(Key, "Key of an unfinished upload");
      const id = required(UploadId, `UploadId of an upload to ${key}`);
      const begun = required(Initiated, `Initiated of an upload to ${key}`);
      const upload = { key, id, begun };
      if (begun < time && (await isIdle(bucket, upload, time))) uploads.push(upload);
    }
    marker = page.IsTruncated
      ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }
      : null;
  }
  return uploads;
}

/**
 * Removes an unfinished upload and its parts, unless it got one since `time` or was completed.
 *
 * @returns true when it did
 */
export async function removeUnfinished(bucket: Bucket, upload: Unfinished, time: Date): Promise<boolean> {
  if (!(await isIdle(bucket, upload, time))) return false;
  const command = new AbortMultipartUploadCommand(addressOf(bucket, upload));
  return (await orNull(NOT_FOUND, bucket.client.send(command))) !== null;
}

/** Returns false for one that is gone. */
async function isIdle(bucket: Bucket, upload: Unfinished, time: Date): Promise<boolean> {
  for (let marker: string | undefined; ; ) {
    const command = new ListPartsCommand({ ...addressOf(bucket, upload), PartNumberMarker: marker });
    const page = await orNull(NOT_FOUND, bucket.client.send(command));
    if (page === null) return false;
    const times = (page.Parts ?? []).map((part) =>
      required(part.LastModified, `LastModified of a part of ${upload.key}`),
    );
    if (times.some((modified) => modified >= time)) return false;
    if (!page.IsTruncated) return true;
    marker = page.NextPartNumberMarker;
  }
}

const addressOf = ({ name }: Bucket, { key, id }: Unfinished) => ({
  Bucket: name,
  Key: key,
  UploadId: id,
});
