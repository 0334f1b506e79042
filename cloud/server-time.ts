import type { S3Client } from "@aws-sdk/client-s3";

/** The times at which S3 gave its answers, by its own clock. */
const times = new WeakMap<object, number>();

/** Makes a client note the `Date` header of every answer, for `serverTime`. */
export function noteServerTime({ middlewareStack }: S3Client): void {
  middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      const { headers } = result.response as { headers?: Record<string, string> };
      const time = Date.parse(headers?.date ?? "");
      if (result.output && !Number.isNaN(time)) times.set(result.output, time);
      return result;
    },
    { step: "deserialize", priority: "high", name: "noteServerTime" },
  );
}

/**
 * Returns when an answer was given, by the clock that stamps objects too: an age must not depend on two clocks. A server
 * that says nothing of its time is taken to have this process's.
 */
export const serverTime = (answer: object): number => times.get(answer) ?? Date.now();

/** Returns the age of something that S3 stamped, in an answer of S3. A clock that was set back makes no negative age. */
export const ageIn = (answer: object, modified: Date): number =>
  Math.max(0, serverTime(answer) - modified.getTime());
