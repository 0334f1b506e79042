import { S3ServiceException } from "@aws-sdk/client-s3";
import { CorruptData, TryAgain, Unrecoverable } from "../protocol/errors.ts";

/** How a create-only write ended; both mean the object is there. */
export type Created = "created" | "exists";

export const PRECONDITION_FAILED = 412;
export const NOT_FOUND = 404;
const CONFLICT = 409;
const CONFLICT_TRIES = 10;

export const httpStatusOf = (error: unknown): number | undefined =>
  error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;

/** Returns the answer of S3, or null when it answers with that status. */
export async function orNull<T>(status: number, request: Promise<T>): Promise<T | null> {
  try {
    return await request;
  } catch (error) {
    if (httpStatusOf(error) === status && !(error instanceof Error && error.name === "NoSuchBucket"))
      return null;
    throw asOurs(error);
  }
}

/** 409: two conditional writes met; S3 asks to try again, after which one of them gets 412. */
export async function retryConflicts<T>(key: string, request: () => Promise<T>): Promise<T> {
  for (let attempt = 1; attempt <= CONFLICT_TRIES; attempt++) {
    try {
      return await request();
    } catch (error) {
      if (httpStatusOf(error) !== CONFLICT) throw error;
    }
  }
  throw new TryAgain(`${key}: ${CONFLICT_TRIES} conditional writes in a row met another one`);
}

/** Returns errors that only the emulator has, of a full disk or a damaged file, as ones that no further try would mend. */
function asOurs(error: unknown): unknown {
  if (!(error instanceof S3ServiceException)) return error;
  if (error.name === "InsufficientStorage") return new Unrecoverable(error.message, { cause: error });
  if (error.name === "CorruptObject") return new CorruptData(error.message, { cause: error });
  return error;
}

/** True for a request to AWS that got no answer, or one that says that the service is in trouble. */
export function isAway(error: unknown): boolean {
  if (!(error instanceof Error) || !("$metadata" in error)) return false;
  const metadata = error.$metadata;
  if (typeof metadata !== "object" || metadata === null) return true;
  const status = "httpStatusCode" in metadata ? metadata.httpStatusCode : undefined;
  return typeof status !== "number" || status >= 500;
}
