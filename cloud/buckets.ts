import { S3Client } from "@aws-sdk/client-s3";
import type { Environment } from "../protocol/environment.ts";
import { clientConfig } from "./connect.ts";
import { retryDamaged } from "./damage.ts";
import { Store } from "./store.ts";

/** Buckets that belong to others, from which data is read. */
export type Buckets = {
  store(bucket: string): Store;
  close(): void;
};

/**
 * Opens any bucket that the credentials of `env` can read, in whichever region it is; an emulator's, with an endpoint.
 */
export function openBuckets(env: Environment): Buckets {
  const { AWS_REGION, AWS_DEFAULT_REGION } = env;
  const endpoint = env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL || undefined;
  const s3 = new S3Client({
    ...clientConfig(env),
    // Only where the search begins: S3 says in which region a bucket is.
    region: AWS_REGION || AWS_DEFAULT_REGION || "us-east-1",
    followRegionRedirects: true,
    ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
    responseChecksumValidation: "WHEN_REQUIRED",
  });
  retryDamaged(s3.middlewareStack);
  return { store: (bucket) => new Store(s3, bucket), close: () => s3.destroy() };
}
