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

/** The maximum of AWS Batch. A Spot reclaim counts as an attempt too. */
const ATTEMPTS = 10;
/** For a worker that hangs; one whose job has ended leaves by itself. */
const TIMEOUT = Duration.days(7);
/**
 * The memory of the smallest machines of the families. A g4dn.xlarge has 16 GiB, of which about 14 are left for containers
 * (a job that asks for more waits for ever); a c6i.xlarge has 8, of which about 7 are left.
 */
const MEMORY: Readonly<Record<Device, Size>> = { gpu: Size.mebibytes(14_000), cpu: Size.mebibytes(6_800) };
const VCPUS = 4;

/**
 * The first rule that fits decides. AWS Batch would retry a failure that fits none, and takes five rules. A worker that
 * crashed has exit code 1; one that a signal stopped or killed has 128 + the signal's number (143, 137, 139). The last rule
 * is for a worker that refuses its job.
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

/** The job definitions of workers: one with a GPU, one with four processors. */
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
      // Without an init process a worker would be process 1, and a signal could not end it in the middle of a gradient.
      linuxParameters: new LinuxParameters(this, `${device}-linux`, { initProcessEnabled: true }),
      logging: LogDriver.awsLogs({ logGroup: this.logs, streamPrefix: device }),
      environment: { ...environment, PS_DEVICE: device },
    });
    Validations.of(container).acknowledge({
      id: "AwsSolutions-IAM5[Resource::*]",
      reason: "ECR has no permissions by resource for the token that a pull needs",
    });
    return new EcsJobDefinition(this, device, {
      jobDefinitionName: names.workersOn(name, device),
      container,
      retryAttempts: ATTEMPTS,
      retryStrategies,
      timeout: TIMEOUT,
      propagateTags: true,
    });
  }
}
