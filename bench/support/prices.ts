import type { Counts } from "./count-requests.ts";

/** List prices of us-east-1 in US dollars, without free tiers, as AWS's pricing pages had them in 2026. */
export const PRICES = {
  /** A PUT, COPY, POST or LIST request of S3 Standard. */
  s3Write: 5e-6,
  /** A GET request of S3 Standard. */
  s3Read: 4e-7,
  /** A request of a FIFO queue, for each 64 KiB of it. */
  sqs: 5e-7,
  /** An arm64 function, a GB of its memory for a second. */
  lambdaGbSecond: 1.33334e-5,
  lambdaInvocation: 2e-7,
} as const;

/** SQS bills a request for each started unit of this size. */
const BILLED_BYTES = 65_536;

/** Returns the price of requests, by service. */
export function priceOf(counts: Counts): { readonly s3: number; readonly sqs: number } {
  const price = { s3: 0, sqs: 0 };
  for (const [kind, { requests, bytes }] of Object.entries(counts)) {
    if (kind.startsWith("SQS")) price.sqs += PRICES.sqs * Math.max(requests, bytes / BILLED_BYTES);
    else if (kind === "S3 PUT" || kind === "S3 LIST") price.s3 += PRICES.s3Write * requests;
    else if (kind === "S3 GET") price.s3 += PRICES.s3Read * requests;
  }
  return price;
}
