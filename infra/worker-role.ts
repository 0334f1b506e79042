import { Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import type { IBucket } from "aws-cdk-lib/aws-s3";
import type { Construct } from "constructs";
import { grant } from "./grant.ts";
import { anyKey, list, onTaskQueues, read, write } from "./permissions.ts";

export type WorkerRoleProps = {
  readonly name: string;
  readonly bucket: IBucket;
  readonly updatesArn: string;
};

/** Creates the role of workers: read what a job starts from, write version 0, pieces and evaluations, take tasks. */
export function createWorkerRole(scope: Construct, { name, bucket, updatesArn }: WorkerRoleProps): Role {
  const role = new Role(scope, "WorkerRole", { assumedBy: new ServicePrincipal("ecs-tasks.amazonaws.com") });
  const { ofJobs, dataset, pretrained, module } = anyKey;
  const { layout, frozen, modelFile, firstVersion, evaluation, gradient } = anyKey;
  grant(role, [
    list(bucket),
    read(bucket, ofJobs, dataset, pretrained, module),
    write(bucket, layout, frozen, modelFile, firstVersion, evaluation, gradient),
    onTaskQueues(
      scope,
      name,
      ...["sqs:GetQueueUrl", "sqs:GetQueueAttributes"],
      ...["sqs:ReceiveMessage", "sqs:ChangeMessageVisibility", "sqs:DeleteMessage"],
    ),
    { actions: ["sqs:SendMessage"], resources: [updatesArn] },
  ]);
  return role;
}
