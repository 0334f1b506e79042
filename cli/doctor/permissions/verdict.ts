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
  /** Names of the errors that only those meet who have the permission: what is asked for can't be done. */
  readonly refusals: readonly string[];
};

/** AWS Batch also says so under other names, and SQS that a queue is not there, "or you do not have access to it". */
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
    // S3 wants s3:ListBucket of who asks for an object that is not there. SQS writes actions in small letters.
    const denied = DENIED_ACTION.exec(message)?.[1] ?? action;
    if (denied.toLowerCase() === action.toLowerCase()) {
      return { kind: "denied", explicitly: /explicit deny/i.test(message) };
    }
  } else if (refusals.includes(name)) return { kind: "allowed" };
  return { kind: "unknown", why: describe(answer.reason) };
}

const wordsOf = (reason: unknown) =>
  reason instanceof Error ? reason : { name: "", message: String(reason) };
