/**
 * Every error this project raises on purpose. `retryable` tells a queue consumer what to do with the message
 * in hand: leave it for another try, or give up and end the job with this reason.
 */
export abstract class PsError extends Error {
  abstract readonly retryable: boolean;
  override get name(): string {
    return this.constructor.name;
  }
}

/** What a person wrote is wrong: a job file, a flag, a file it names. One line per problem. */
export class InvalidInput extends PsError {
  readonly retryable = false;
  readonly problems: readonly string[];
  constructor(problems: string | readonly string[], options?: ErrorOptions) {
    const list = typeof problems === "string" ? [problems] : problems;
    super(list.join("\n"), options);
    this.problems = list;
  }
}

/** An object or message does not hold what its name promises: truncated, corrupt, or not ours. */
export class CorruptData extends PsError {
  readonly retryable = false;
}

/** A gradient that must not be applied: not finite, or not of its shard's length. Ends the job. */
export class BadGradient extends PsError {
  readonly retryable = false;
}

/** The bytes are right and the work went wrong for good: no backend, no such job, a full disk. */
export class Unrecoverable extends PsError {
  readonly retryable = false;
}

/** A mistake in this program: a case that callers must rule out. Nothing that a person or a service does leads here. */
export class Bug extends PsError {
  readonly retryable = false;
}

/** A conditional write lost more races than is believable, or an answer did not come. Worth another try. */
export class TryAgain extends PsError {
  readonly retryable = true;
}

const KINDS: ReadonlyMap<string, new (message: string) => PsError> = new Map(
  Object.entries({ InvalidInput, CorruptData, BadGradient, Unrecoverable, Bug, TryAgain }),
);

/** Makes an error again that another process of ours has thrown; a plain one when it is not one of these. */
export function errorOfKind(kind: string, message: string): Error {
  const Kind = KINDS.get(kind);
  return Kind ? new Kind(message) : new Error(message);
}

/**
 * The text of anything thrown, for a log line or a job's reason. The texts of its causes follow in brackets, unless its
 * message repeats them already.
 */
export function describe(error: unknown): string {
  const [text = "", ...causes] = chainOf(error).map(textOf);
  return causes.reduce((whole, cause) => (isPartOf(cause, whole) ? whole : `${whole} (${cause})`), text);
}

/** An error, its cause, the cause of that, and so on. An error that only gathers others counts as the first of them. */
export function chainOf(error: unknown): unknown[] {
  const chain: unknown[] = [];
  for (let link = error; link !== undefined && link !== null && !chain.includes(link); ) {
    // Node reports a refused connection as an AggregateError without a message.
    if (link instanceof AggregateError && link.message === "" && link.errors.length > 0)
      link = link.errors[0];
    chain.push(link);
    link = link instanceof Error ? link.cause : undefined;
  }
  return chain;
}

function textOf(error: unknown): string {
  if (error instanceof PsError) return error.message;
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

const isPartOf = (cause: string, text: string): boolean =>
  text.includes(cause) || text.includes(cause.replace(/^\w+: /, ""));

/** True for an error that this project raises on purpose, and for one of the network, S3 or SQS: no mistake of ours. */
export function isExpected(error: unknown): boolean {
  if (error instanceof PsError) return !(error instanceof Bug);
  if (isOfMachine(error)) return true;
  // Node's errors of the kind ERR_INVALID_ARG_TYPE are mistakes of the caller.
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return isOutage(error) && !code.startsWith("ERR_");
}

/** True for an error that says the same thing however often the work is tried. */
export function isPermanent(error: unknown): boolean {
  return error instanceof PsError ? !error.retryable : isOfMachine(error);
}

const MACHINE_CODES = new Set(["EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT", "EFBIG"]);
const ABSENCE_CODES = new Set(["ENOENT", "ENOTDIR"]);
const FOLDER_CALLS = new Set(["mkdir", "mkdtemp"]);

/** True for an error of this machine that stays until a person acts: no permission, no room, no folder to make one in. */
function isOfMachine(error: unknown): boolean {
  if (!(error instanceof Error) || !("code" in error && "syscall" in error)) return false;
  const [code, call] = [String(error.code), String(error.syscall)];
  return MACHINE_CODES.has(code) || (ABSENCE_CODES.has(code) && FOLDER_CALLS.has(call));
}

/** True for an error of the network, S3 or SQS, or a state of things that another try may find changed. */
export function isOutage(error: unknown): boolean {
  if (error instanceof PsError) return error.retryable;
  if (isOfMachine(error)) return false;
  // The AWS SDK's errors carry $metadata or $response, Node's own a code such as ECONNREFUSED.
  return error instanceof Error && ["$metadata", "$response", "code"].some((mark) => mark in error);
}
