import { Duration, RemovalPolicy, Size, Validations } from "aws-cdk-lib";
import {
  Action,
  EcsEc2ContainerDefinition,
  EcsJobDefinition,
  LinuxParameters,
  Reason,
  RetryStrategy,
} from "aws-cdk-lib/aws-batch";
import { LogDriver } from "aws-cdk-lib/aws-ecs";
import type { IRole } from "aws-cdk-lib/aws-iam";
import { LogGroup, RetentionDays } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import type { Device } from "../cloud/worker-groups.ts";
import { names } from "./names.ts";
import type { WorkerImage } from "./worker-image.ts";

/** Reclaims count as well; ten is the most that Batch does. */
const ATTEMPTS = 10;
/** A worker leaves by itself when its job has ended. This is for one that hangs. */
const LONGEST = Duration.days(7);
/**
 * Of the smallest machines of the families. A g4dn.xlarge has 16 GiB of which some 14 are left for containers (asked
 * for more, a job would wait for ever); a c6i.xlarge has 8, of which some 7 are left.
 */
const MEMORY: Readonly<Record<Device, Size>> = { gpu: Size.mebibytes(14_000), cpu: Size.mebibytes(6_800) };
const VCPUS = 4;

/**
 * Tried in order; the first that fits decides. A failure that fits none would be retried. AWS Batch takes five rules.
 * Exit codes that begin with 1 are those of a worker that crashed (1), or was stopped or killed by a signal (128 + its
 * number: 143, 137, 139); one that refuses its job is the last rule's.
 */
const retryStrategies = [
  RetryStrategy.of(Action.RETRY, Reason.SPOT_INSTANCE_RECLAIMED),
  RetryStrategy.of(Action.EXIT, Reason.custom({ onReason: "OutOfMemoryError*" })),
  RetryStrategy.of(Action.RETRY, Reason.custom({ onExitCode: "1*" })),
  RetryStrategy.of(Action.EXIT, Reason.custom({ onReason: "*" })),
];

export type JobDefinitionsProps = {
  readonly name: string;
  readonly role: IRole;
  readonly images: Readonly<Record<Device, WorkerImage>>;
  readonly environment: Readonly<Record<string, string>>;
};

/** How a worker is run: on one GPU, or on four processors. */
export class JobDefinitions extends Construct {
  readonly logs: LogGroup;
  readonly definitions: Readonly<Record<Device, EcsJobDefinition>>;

  constructor(scope: Construct, props: JobDefinitionsProps) {
    super(scope, "JobDefinitions");
    this.logs = new LogGroup(this, "Logs", {
      logGroupName: `${names.folder(props.name)}/workers`,
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.definitions = { gpu: this.#create("gpu", props), cpu: this.#create("cpu", props) };
  }

  #create(device: Device, { name, role, images, environment }: JobDefinitionsProps): EcsJobDefinition {
    const container = new EcsEc2ContainerDefinition(this, `${device}-container`, {
      image: images[device].container,
      cpu: VCPUS,
      memory: MEMORY[device],
      ...(device === "gpu" && { gpu: 1 }),
      jobRole: role,
      // As process 1 a worker that is told to stop in the middle of a gradient could not leave before its end.
      linuxParameters: new LinuxParameters(this, `${device}-linux`, { initProcessEnabled: true }),
      logging: LogDriver.awsLogs({ logGroup: this.logs, streamPrefix: device }),
      environment: { ...environment, PS_DEVICE: device },
    });
    Validations.of(container).acknowledge({
      id: "AwsSolutions-IAM5[Resource::*]",
      reason: "ECR has no permissions by resource for the token that a pull begins with",
    });
    return new EcsJobDefinition(this, device, {
      jobDefinitionName: names.workersOn(name, device),
      container,
      retryAttempts: ATTEMPTS,
      retryStrategies,
      timeout: LONGEST,
      propagateTags: true,
    });
  }
}
