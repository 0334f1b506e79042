import {
  AbortMultipartUploadCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListPartsCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import { NOT_FOUND, orNull } from "./service-errors.ts";

/** An upload in parts that was neither completed nor given up. Its parts are stored, and paid for. */
export type Unfinished = { readonly key: string; readonly id: string; readonly begun: Date };

type Place = { readonly client: S3Client; readonly bucket: string };

/** The unfinished uploads to a bucket that were begun before `time` and have got no part since. */
export async function listUnfinished(place: Place, time: Date): Promise<Unfinished[]> {
  const found: Unfinished[] = [];
  let marker: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } | null = {};
  while (marker !== null) {
    const command = new ListMultipartUploadsCommand({ Bucket: place.bucket, ...marker });
    const page: ListMultipartUploadsCommandOutput = await place.client.send(command);
    for (const { Key: key, UploadId: id, Initiated: begun } of page.Uploads ?? []) {
      if (key === undefined || id === undefined || begun === undefined || begun >= time) continue;
      const upload = { key, id, begun };
      if (await isIdle(place, upload, time)) found.push(upload);
    }
    marker = page.IsTruncated
      ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }
      : null;
  }
  return found;
}

/**
 * Removes an unfinished upload and its parts, unless it got one since `time` or was completed.
 *
 * @returns whether it did
 */
export async function removeUnfinished(place: Place, upload: Unfinished, time: Date): Promise<boolean> {
  if (!(await isIdle(place, upload, time))) return false;
  const command = new AbortMultipartUploadCommand(addressOf(place, upload));
  return (await orNull(NOT_FOUND, place.client.send(command))) !== null;
}

/** False for one that is no more. */
async function isIdle(place: Place, upload: Unfinished, time: Date): Promise<boolean> {
  for (let marker: string | undefined; ; ) {
    const command = new ListPartsCommand({ ...addressOf(place, upload), PartNumberMarker: marker });
    const page = await orNull(NOT_FOUND, place.client.send(command));
    if (page === null) return false;
    if ((page.Parts ?? []).some(({ LastModified }) => LastModified && LastModified >= time)) return false;
    if (!page.IsTruncated) return true;
    marker = page.NextPartNumberMarker;
  }
}

const addressOf = ({ bucket }: Place, { key, id }: Unfinished) => ({
  Bucket: bucket,
  Key: key,
  UploadId: id,
});
