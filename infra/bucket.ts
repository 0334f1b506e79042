import { Duration, RemovalPolicy, Validations } from "aws-cdk-lib";
import { BlockPublicAccess, Bucket, BucketEncryption, ObjectOwnership } from "aws-cdk-lib/aws-s3";
import type { Construct } from "constructs";
import { keys } from "../protocol/keys.ts";

/** When a step has not committed within a week, its job has ended, and no later attempt uses its gradients. */
const GRADIENT_DAYS = 7;
/** An interrupted upload can be continued for this long. */
const UPLOAD_DAYS = 2;

/** Creates the bucket of everything durable: jobs, their versions and checkpoints, datasets. It outlives its stack. */
export function createBucket(scope: Construct): Bucket {
  const bucket = new Bucket(scope, "Bucket", {
    encryption: BucketEncryption.S3_MANAGED,
    enforceSSL: true,
    blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
    objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
    removalPolicy: RemovalPolicy.RETAIN,
    lifecycleRules: [
      { id: "gradients", prefix: keys.allGradients, expiration: Duration.days(GRADIENT_DAYS) },
      { id: "unfinished-uploads", abortIncompleteMultipartUploadAfter: Duration.days(UPLOAD_DAYS) },
    ],
  });
  Validations.of(bucket).acknowledge({
    id: "AwsSolutions-S1",
    reason:
      "a step makes hundreds of requests, so an access log would cost more than the storage of the data; " +
      "CloudTrail data events can be turned on where a log is needed",
  });
  return bucket;
}
