import { S3ServiceException } from "@aws-sdk/client-s3";
import { TryAgain, Unrecoverable } from "../protocol/errors.ts";

/** How a create-only write ended; both mean the object is there. */
export type Created = "created" | "exists";

export const PRECONDITION_FAILED = 412;
export const NOT_FOUND = 404;
const CONFLICT = 409;
const CONFLICT_TRIES = 10;

export const statusOf = (error: unknown): number | undefined =>
  error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;

/** What S3 answers, or null when it answers with that status. */
export async function orNull<T>(status: number, request: Promise<T>): Promise<T | null> {
  try {
    return await request;
  } catch (error) {
    if (statusOf(error) === status && !(error instanceof Error && error.name === "NoSuchBucket")) return null;
    throw understood(error);
  }
}

/** 409: two conditional writes met; S3 asks to try again, after which one of them gets 412. */
export async function retryConflicts<T>(key: string, request: () => Promise<T>): Promise<T> {
  for (let attempt = 1; attempt <= CONFLICT_TRIES; attempt++) {
    try {
      return await request();
    } catch (error) {
      if (statusOf(error) !== CONFLICT) throw error;
    }
  }
  throw new TryAgain(`${key}: ${CONFLICT_TRIES} conditional writes in a row met another one`);
}

function understood(error: unknown): unknown {
  if (!(error instanceof S3ServiceException)) return error;
  if (error.name === "InsufficientStorage") return new Unrecoverable(error.message, { cause: error });
  return error;
}
