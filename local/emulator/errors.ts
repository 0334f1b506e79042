/** An error a client is answered with: HTTP status, AWS error code and a message a person can act on. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
    this.code = code;
  }
}

/** The answer to an operation, or a variant of one, that the emulator does not have. */
export function notImplemented(operation: string): ApiError {
  return new ApiError(501, "NotImplemented", `The embedded emulator does not implement ${operation}`);
}

/** The answer when a folder has no room for what was sent. */
export function storageFull(folder: string, detail: string, cause?: unknown): ApiError {
  return new ApiError(507, "InsufficientStorage", `No room left in ${folder}: ${detail}`, { cause });
}

const FULL_DISK_CODES = new Set(["ENOSPC", "EFBIG", "EDQUOT"]);
// SQLITE_FULL, and SQLITE_IOERR_WRITE: what SQLite makes of any failed write but ENOSPC.
const FULL_DATABASE_CODES = new Set([13, 778]);

/** What a failure means to the client: full disks become 507, the rest stays as it is. */
export function asApiError(error: unknown, folder: string): unknown {
  if (!(error instanceof Error) || error instanceof ApiError) return error;
  const code = "code" in error ? error.code : undefined;
  const errcode = "errcode" in error ? error.errcode : undefined;
  const full =
    (typeof code === "string" && FULL_DISK_CODES.has(code)) ||
    (typeof errcode === "number" && FULL_DATABASE_CODES.has(errcode));
  return full ? storageFull(folder, error.message, error) : error;
}
