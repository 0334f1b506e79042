/** The kind of an endpoint. `aws` is the measure of the others; it has no deviations. */
export type Kind = "aws" | "embedded" | "localstack" | "ministack";

type KnownDeviation = {
  /** How it differs from AWS. */
  readonly words: string;
  /** The kinds that differ, each with the error that the row then fails with. */
  readonly on: Partial<Record<Kind, RegExp>>;
};

const NOT_REFUSED = /The call was not refused/;

/**
 * Where LocalStack 4.8.1 and ministack 1.5.33 differ from AWS in what the rows ask. Such a row runs there too and must
 * fail as stated, so that this list stays true. None of it matters to a job: see each line.
 */
export const DEVIATIONS = {
  urlEncodedPages: {
    words:
      "compares encoded keys with a token that is not, and so loses keys that are not ASCII after page one; our keys are ASCII",
    on: { localstack: /AssertionError/ },
  },
  earlierHandle: {
    words:
      "deletes a message with the handle of an earlier receive, even while someone else holds it; a job repeats itself harmlessly",
    on: { localstack: /Message does not exist or is not available/ },
  },
  lateHandle: {
    words: "takes a FIFO message's handle after its timeout; a job repeats itself harmlessly",
    on: { localstack: NOT_REFUSED },
  },
  groupUnlocked: {
    words:
      "unlocks a FIFO group once one of its messages in flight is given back, though others still are in flight; a job repeats itself harmlessly",
    on: { localstack: /Expected values to be strictly deep-equal/ },
  },
  smallParts: {
    words: "takes parts of less than 5 MiB that are not the last; we send none",
    on: { ministack: NOT_REFUSED },
  },
  partOrder: {
    words: "takes parts in any order; we name them in theirs",
    on: { ministack: NOT_REFUSED },
  },
  longKeys: {
    words: "takes keys of more than 1024 bytes; ours are short",
    on: { ministack: NOT_REFUSED },
  },
  deletedTwice: {
    words: "refuses to delete a message once more; we delete each handle once",
    on: { ministack: /ReceiptHandleIsInvalid/ },
  },
} as const satisfies Record<string, KnownDeviation>;

export type Deviation = keyof typeof DEVIATIONS;

/** Options of a test that must fail on endpoints of this kind, and only there. */
export function deviationOf(kind: Kind, deviation: Deviation): { readonly expectFailure?: object } {
  const { words, on }: KnownDeviation = DEVIATIONS[deviation];
  const match = on[kind];
  return match === undefined ? {} : { expectFailure: { label: words, match } };
}
