import { describe } from "../../../protocol/errors.ts";

/** The result of a probe: what an answer of AWS says about a permission. */
export type Verdict =
  | { readonly kind: "allowed" }
  /** `explicitly`: a policy forbids it, which no further permission would change. */
  | { readonly kind: "denied"; readonly explicitly: boolean }
  | { readonly kind: "unknown"; readonly why: string };

export type Question = {
  /** As IAM names it, such as `s3:PutObject`. */
  readonly action: string;
  /** Names of the errors that AWS gives only to callers who have the permission: the call itself can't succeed. */
  readonly refusals: readonly string[];
};

/** Batch has other names for it too; SQS answers that the queue does not exist "or you do not have access to it". */
const DENIAL_NAME = /^(AccessDenied|UnauthorizedOperation|AuthorizationError)/;
const DENIAL_TEXT = /not authorized to perform|do not have access|access to the resource .* is denied/i;
const DENIED_ACTION = /not authorized to perform:? ([\w-]+:\w+)/i;

/** Decides from the answer to a call whether the caller has the permission. */
export function verdictOn(
  { action, refusals }: Question,
  answer: Pick<PromiseRejectedResult, "status" | "reason"> | { readonly status: "fulfilled" },
): Verdict {
  if (answer.status === "fulfilled") return { kind: "allowed" };
  const { name, message } = wordsOf(answer.reason);
  if (DENIAL_NAME.test(name) || DENIAL_TEXT.test(message)) {
    // For an object that does not exist S3 asks for s3:ListBucket. SQS writes actions in small letters.
    const denied = DENIED_ACTION.exec(message)?.[1] ?? action;
    if (denied.toLowerCase() === action.toLowerCase()) {
      return { kind: "denied", explicitly: /explicit deny/i.test(message) };
    }
  } else if (refusals.includes(name)) return { kind: "allowed" };
  return { kind: "unknown", why: describe(answer.reason) };
}

const wordsOf = (reason: unknown) =>
  reason instanceof Error ? reason : { name: "", message: String(reason) };
