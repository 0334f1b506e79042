import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { type ApiError, notImplemented } from "./errors.ts";
import { listObjects } from "./s3-list-operation.ts";
import {
  abortMultipartUpload,
  completeMultipartUpload,
  createMultipartUpload,
  listMultipartUploads,
  listParts,
  uploadPart,
} from "./s3-multipart-operations.ts";
import {
  createBucket,
  deleteMany,
  deleteOne,
  getObject,
  headBucket,
  headObject,
  putOne,
} from "./s3-object-operations.ts";
import { answer, type Operation, type S3 } from "./s3-operation.ts";
import { parseS3Request } from "./s3-request.ts";
import { xmlDocument } from "./s3-xml.ts";

const OPERATIONS: Readonly<Record<string, Operation>> = {
  AbortMultipartUpload: abortMultipartUpload,
  CompleteMultipartUpload: completeMultipartUpload,
  CreateBucket: createBucket,
  CreateMultipartUpload: createMultipartUpload,
  DeleteObject: deleteOne,
  DeleteObjects: deleteMany,
  GetObject: getObject,
  HeadBucket: headBucket,
  HeadObject: headObject,
  ListMultipartUploads: listMultipartUploads,
  ListObjectsV2: listObjects,
  ListParts: listParts,
  PutObject: putOne,
  UploadPart: uploadPart,
};

/** Answers an S3 request. */
export async function handleS3(s3: S3, message: IncomingMessage, response: ServerResponse): Promise<void> {
  const request = parseS3Request(message);
  const operation = OPERATIONS[request.operation];
  if (!operation) throw notImplemented(request.operation);
  await operation(s3, request, response);
}

/** Answers with an error in S3's form. */
export function answerS3Error(response: ServerResponse, error: ApiError, head: boolean): void {
  const fields = { Code: error.code, Message: error.message, RequestId: randomUUID() };
  const body = head || error.status === 304 ? undefined : xmlDocument("Error", fields);
  answer(response, error.status, body === undefined ? {} : { "content-type": "application/xml" }, body);
}
