import { Duration, RemovalPolicy, Validations } from "aws-cdk-lib";
import { BlockPublicAccess, Bucket, BucketEncryption, ObjectOwnership } from "aws-cdk-lib/aws-s3";
import type { Construct } from "constructs";
import { keys } from "../protocol/keys.ts";

/** A step that has not committed within a week has a job that ended; what it left is of no use to a later attempt. */
const GRADIENT_DAYS = 7;
/** An upload that was cut short can be taken up again for this long. */
const UPLOAD_DAYS = 2;

/** Everything that is durable: jobs, their versions and checkpoints, datasets. Outlives its stack. */
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
      "a step makes hundreds of requests: a log of each would cost more than the training data's storage; " +
      "who needs one turns on CloudTrail data events",
  });
  return bucket;
}
