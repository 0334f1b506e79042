import { PsError } from "../../protocol/errors.ts";

/** The error of an answer: HTTP status, AWS error code and a message that a person can act on. */
export class ApiError extends PsError {
  readonly retryable: boolean;
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.retryable = status >= 500;
    this.status = status;
    this.code = code;
  }
}

/** Answers an operation, or a variant of one, that the emulator does not have. */
export function notImplemented(operation: string): ApiError {
  return new ApiError(501, "NotImplemented", `The embedded emulator does not implement ${operation}`);
}

/** Answers a body or message for which the disk has no room. */
export function storageFull(folder: string, detail: string, cause?: unknown): ApiError {
  return new ApiError(507, "InsufficientStorage", `No room left in ${folder}: ${detail}`, { cause });
}

const FULL_DISK_CODES = new Set(["ENOSPC", "EFBIG", "EDQUOT"]);
// SQLITE_FULL (ENOSPC), and SQLITE_IOERR_WRITE (any other write that failed).
const FULL_DATABASE_CODES = new Set([13, 778]);

/** Turns the errors of a full disk into 507; any other error stays as it is. */
export function asApiError(error: unknown, folder: string): unknown {
  if (!(error instanceof Error) || error instanceof ApiError) return error;
  const code = "code" in error ? error.code : undefined;
  const errcode = "errcode" in error ? error.errcode : undefined;
  const full =
    (typeof code === "string" && FULL_DISK_CODES.has(code)) ||
    (typeof errcode === "number" && FULL_DATABASE_CODES.has(errcode));
  return full ? storageFull(folder, error.message, error) : error;
}
