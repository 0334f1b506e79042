import { Duration, Size, Validations } from "aws-cdk-lib";
import {
  AllocationStrategy,
  EcsMachineImageType,
  JobQueue,
  JobStateTimeLimitActionsAction,
  JobStateTimeLimitActionsReason,
  ManagedEc2EcsComputeEnvironment,
} from "aws-cdk-lib/aws-batch";
import {
  BlockDeviceVolume,
  EbsDeviceVolumeType,
  type InstanceClass,
  LaunchTemplate,
  LaunchTemplateHttpTokens,
} from "aws-cdk-lib/aws-ec2";
import { ManagedPolicy, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { Construct } from "constructs";
import type { Device } from "../cloud/worker-groups.ts";
import { names } from "./names.ts";
import type { Network } from "./network.ts";

/** 64 workers of 4 vCPUs. Most accounts have a lower quota. */
const MAX_VCPUS = 256;
/** The GPU image takes 8 GB and the system 4; the rest is for datasets. The disk is deleted with its instance. */
const DISK = Size.gibibytes(80);

export type ComputeProps = {
  readonly name: string;
  readonly network: Network;
  readonly families: Readonly<Record<Device, readonly InstanceClass[]>>;
};

/** The job queues and the machines behind them: Spot first, On-Demand when there is none, and no machine while no job runs. */
export class Compute extends Construct {
  readonly queues: Readonly<Record<Device, JobQueue>>;

  constructor(scope: Construct, props: ComputeProps) {
    super(scope, "Compute");
    const machine: MachineProps = {
      template: createTemplate(this),
      role: createInstanceRole(this),
      ...props,
    };
    this.queues = { gpu: createQueue(this, machine, "gpu"), cpu: createQueue(this, machine, "cpu") };
  }
}

type MachineProps = ComputeProps & { readonly template: LaunchTemplate; readonly role: Role };

function createTemplate(scope: Construct): LaunchTemplate {
  const volume = BlockDeviceVolume.ebs(DISK.toGibibytes(), {
    volumeType: EbsDeviceVolumeType.GP3,
    encrypted: true,
    deleteOnTermination: true,
  });
  return new LaunchTemplate(scope, "Template", {
    blockDevices: [{ deviceName: "/dev/xvda", volume }],
    httpTokens: LaunchTemplateHttpTokens.REQUIRED,
    // A worker reads Spot notices from the metadata service from inside its container, which may be one hop away.
    httpPutResponseHopLimit: 2,
  });
}

function createInstanceRole(scope: Construct): Role {
  const role = new Role(scope, "InstanceRole", {
    assumedBy: new ServicePrincipal("ec2.amazonaws.com"),
    managedPolicies: [
      ManagedPolicy.fromAwsManagedPolicyName("service-role/AmazonEC2ContainerServiceforEC2Role"),
    ],
  });
  Validations.of(role).acknowledge({
    id: "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role]",
    reason: "AWS maintains this policy of what the ECS agent needs; the workers have a role of their own",
  });
  return role;
}

function createQueue(scope: Construct, machine: MachineProps, device: Device): JobQueue {
  const spot = createEnvironment(scope, machine, device, true);
  const onDemand = createEnvironment(scope, machine, device, false);
  return new JobQueue(scope, `${device}-queue`, {
    jobQueueName: names.workersOn(machine.name, device),
    computeEnvironments: [
      { computeEnvironment: spot, order: 1 },
      { computeEnvironment: onDemand, order: 2 },
    ],
    // A job that no machine can ever run blocks its queue, so it is cancelled. A job that waits for capacity is not.
    jobStateTimeLimitActions: [
      JobStateTimeLimitActionsReason.JOB_RESOURCE_REQUIREMENT,
      JobStateTimeLimitActionsReason.COMPUTE_ENVIRONMENT_MAX_RESOURCE,
    ].map((reason) => ({
      reason,
      action: JobStateTimeLimitActionsAction.CANCEL,
      maxTime: Duration.minutes(30),
    })),
  });
}

function createEnvironment(
  scope: Construct,
  { network, families, template, role }: MachineProps,
  device: Device,
  spot: boolean,
): ManagedEc2EcsComputeEnvironment {
  return new ManagedEc2EcsComputeEnvironment(scope, `${device}-${spot ? "spot" : "on-demand"}`, {
    vpc: network.vpc,
    securityGroups: [network.workers],
    spot,
    allocationStrategy: spot
      ? AllocationStrategy.SPOT_PRICE_CAPACITY_OPTIMIZED
      : AllocationStrategy.BEST_FIT_PROGRESSIVE,
    minvCpus: 0,
    maxvCpus: MAX_VCPUS,
    instanceClasses: [...families[device]],
    // The default of true would add families without a GPU.
    useOptimalInstanceClasses: false,
    images: [
      {
        imageType: device === "gpu" ? EcsMachineImageType.ECS_AL2023_NVIDIA : EcsMachineImageType.ECS_AL2023,
      },
    ],
    instanceRole: role,
    launchTemplate: template,
  });
}
