import assert from "node:assert/strict";
import { test } from "node:test";
import { Match } from "aws-cdk-lib/assertions";
import { workerExit } from "../../protocol/worker-exit.ts";
import { checkRetryStrategy, isRetried } from "../fake-batch/retry.ts";
import { allowedTo, ofType, synthesize, written } from "./synthesize.ts";

const { workers: template } = synthesize({ name: "lab" });
const environments = ofType(template, "AWS::Batch::ComputeEnvironment");
const [[launchTemplate] = assert.fail()] = ofType(template, "AWS::EC2::LaunchTemplate");
const [[securityGroup] = assert.fail()] = ofType(template, "AWS::EC2::SecurityGroup");

const environmentOf = (device: string, kind: string) => {
  const [found] = environments.filter(([id]) => id.startsWith(`Compute${device}${kind}`));
  return found ?? assert.fail(`no ${kind} machines for ${device}`);
};

test("workers live in public subnets without a NAT, where nothing may come in", () => {
  template.resourceCountIs("AWS::EC2::NatGateway", 0);
  template.resourceCountIs("AWS::EC2::Subnet", 2);
  template.allResourcesProperties("AWS::EC2::Subnet", { MapPublicIpOnLaunch: true });
  template.resourceCountIs("AWS::EC2::SecurityGroupIngress", 0);
  template.allResourcesProperties("AWS::EC2::SecurityGroup", { SecurityGroupIngress: Match.absent() });
});

test("what workers exchange with S3 goes through a gateway, from every subnet", () => {
  const tables = ofType(template, "AWS::EC2::RouteTable").map(([Ref]) => ({ Ref }));
  template.hasResourceProperties("AWS::EC2::VPCEndpoint", {
    VpcEndpointType: "Gateway",
    ServiceName: { "Fn::Join": ["", ["com.amazonaws.", { Ref: "AWS::Region" }, ".s3"]] },
    RouteTableIds: tables,
  });
});

const machines = {
  gpu: { ImageType: "ECS_AL2023_NVIDIA", families: ["g4dn", "g5", "g6"] },
  cpu: { ImageType: "ECS_AL2023", families: ["c6i", "m6i"] },
};
for (const [device, { ImageType, families }] of Object.entries(machines)) {
  for (const [kind, Type, AllocationStrategy] of [
    ["spot", "SPOT", "SPOT_PRICE_CAPACITY_OPTIMIZED"],
    ["ondemand", "EC2", "BEST_FIT_PROGRESSIVE"],
  ] as const) {
    test(`${device}, ${kind}: the right machines, and none while no one trains`, () => {
      const [, { Properties }] = environmentOf(device, kind);
      const { Subnets, ...resources } = Properties.ComputeResources as Record<string, unknown>;
      assert.equal(Array.isArray(Subnets) && Subnets.length, 2);
      assert.deepEqual(resources, {
        ...{ Type, AllocationStrategy, MinvCpus: 0, MaxvCpus: 256, InstanceTypes: families },
        Ec2Configuration: [{ ImageType }],
        LaunchTemplate: { LaunchTemplateId: { Ref: launchTemplate } },
        SecurityGroupIds: [{ "Fn::GetAtt": [securityGroup, "GroupId"] }],
        InstanceRole: resources.InstanceRole,
        Tags: { "serverless-ps": "lab" },
      });
    });
  }

  test(`the queue of ${device} takes Spot first, and puts away only what could never run`, () => {
    const order = ["spot", "ondemand"].map((kind, i) => ({
      ComputeEnvironment: { "Fn::GetAtt": [environmentOf(device, kind)[0], "ComputeEnvironmentArn"] },
      Order: i + 1,
    }));
    const limit = { Action: "CANCEL", MaxTimeSeconds: 1800, State: "RUNNABLE" };
    template.hasResourceProperties("AWS::Batch::JobQueue", {
      JobQueueName: `lab-${device}`,
      State: "ENABLED",
      ComputeEnvironmentOrder: order,
      JobStateTimeLimitActions: [
        { ...limit, Reason: "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT" },
        { ...limit, Reason: "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE" },
      ],
    });
  });
}

test("a machine has an encrypted disk that holds the image, and tells its metadata to no one but by a token", () => {
  const [[, { Properties }] = assert.fail()] = ofType(template, "AWS::EC2::LaunchTemplate");
  const data = Properties.LaunchTemplateData as Record<string, unknown>;
  assert.deepEqual(data.BlockDeviceMappings, [
    {
      DeviceName: "/dev/xvda",
      Ebs: { DeleteOnTermination: true, Encrypted: true, VolumeSize: 80, VolumeType: "gp3" },
    },
  ]);
  assert.deepEqual(data.MetadataOptions, { HttpTokens: "required", HttpPutResponseHopLimit: 2 });
});

const needs = {
  gpu: [
    { Type: "MEMORY", Value: "14000" },
    { Type: "VCPU", Value: "4" },
    { Type: "GPU", Value: "1" },
  ],
  cpu: [
    { Type: "MEMORY", Value: "6800" },
    { Type: "VCPU", Value: "4" },
  ],
};
for (const [device, ResourceRequirements] of Object.entries(needs)) {
  test(`a worker on ${device} asks for what the smallest machine of the families has, and knows where it is`, () => {
    const parameter = (key: string) =>
      Object.entries(template.toJSON().Parameters as Record<string, { Default?: string }>).find(
        ([, { Default }]) => Default === `/serverless-ps/lab/${key}`,
      )?.[0];
    template.hasResourceProperties("AWS::Batch::JobDefinition", {
      JobDefinitionName: `lab-${device}`,
      Type: "container",
      PlatformCapabilities: ["EC2"],
      PropagateTags: true,
      Timeout: { AttemptDurationSeconds: 7 * 24 * 3600 },
      ContainerProperties: {
        Image: `example/worker:${device}`,
        ResourceRequirements,
        Environment: [
          { Name: "PS_BUCKET", Value: { Ref: parameter("bucket") } },
          { Name: "PS_UPDATES_URL", Value: { Ref: parameter("updates-url") } },
          { Name: "PS_QUEUE_PREFIX", Value: "lab_" },
          { Name: "PS_CACHE_DIR", Value: "/tmp/serverless-ps" },
          { Name: "PS_DEVICE", Value: device },
        ],
        JobRoleArn: { "Fn::GetAtt": [Match.stringLikeRegexp("^WorkerRole"), "Arn"] },
        LinuxParameters: { InitProcessEnabled: true },
        LogConfiguration: { LogDriver: "awslogs" },
        Privileged: Match.absent(),
      },
    });
  });
}

test("a reclaimed, crashed or killed worker is tried again; one out of memory or refused is not, nor anything unforeseen", () => {
  const rules = [
    { Action: "RETRY", OnStatusReason: "Host EC2*" },
    { Action: "EXIT", OnReason: "OutOfMemoryError*" },
    { Action: "RETRY", OnExitCode: "1*" },
    { Action: "EXIT", OnReason: "*" },
  ];
  template.allResourcesProperties("AWS::Batch::JobDefinition", {
    RetryStrategy: { Attempts: 10, EvaluateOnExit: rules },
  });
  const evaluateOnExit = rules.map(({ Action: action, OnReason, OnExitCode, OnStatusReason }) => ({
    action: action === "EXIT" ? ("EXIT" as const) : ("RETRY" as const),
    ...(OnReason && { onReason: OnReason }),
    ...(OnExitCode && { onExitCode: OnExitCode }),
    ...(OnStatusReason && { onStatusReason: OnStatusReason }),
  }));
  const strategy = { attempts: 10, evaluateOnExit };
  checkRetryStrategy(strategy);
  const statusReason = "Essential container in task exited";
  const isTriedAgain = (exitCode: number) => isRetried(strategy, 1, { statusReason, exitCode });
  const { crashed, stopped, refused } = workerExit;
  assert.deepEqual([crashed, stopped, 137].map(isTriedAgain), [true, true, true]);
  assert.deepEqual([refused, 2, 64].map(isTriedAgain), [false, false, false]);
  const reason = "OutOfMemoryError: Container killed due to memory usage";
  assert.equal(isRetried(strategy, 1, { statusReason, exitCode: 137, reason }), false);
  assert.equal(isRetried(strategy, 1, { statusReason: "Host EC2 (instance i-0a) terminated." }), true);
});

test("ps-submit finds the workers by SSM parameters", () => {
  const values = ofType(template, "AWS::SSM::Parameter").map(([, { Properties }]) => [
    String(Properties.Name).replace("/serverless-ps/lab/", ""),
    written(Properties.Value),
  ]);
  const found = Object.fromEntries(values) as Record<string, string>;
  assert.deepEqual(Object.keys(found).sort(), [
    ...["image/cpu", "image/gpu", "job-definition/cpu", "job-definition/gpu"],
    ...["job-queue/cpu", "job-queue/gpu", "logs/workers"],
  ]);
  for (const device of ["gpu", "cpu"]) {
    assert.equal(found[`image/${device}`], `example/worker:${device}`);
    assert.match(found[`job-queue/${device}`] ?? "", new RegExp(`Compute${device}queue.*JobQueueArn`));
    assert.match(found[`job-definition/${device}`] ?? "", new RegExp(`^JobDefinitions${device}`));
  }
});

test("an image in ECR may be pulled, and no other repository", () => {
  const { workers } = synthesize({
    workerImage: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/worker:1",
  });
  const account = "arn:AWS::Partition:ecr:eu-west-1:123456789012:repository";
  const pulls = allowedTo(workers, "JobDefinitionsgpucontainerExecutionRole").filter(({ actions }) =>
    actions.includes("ecr:BatchGetImage"),
  );
  assert.deepEqual(
    pulls.map(({ resources }) => resources),
    [[`${account}/team/worker`]],
  );
});

test("one GPU family can be asked for", () => {
  const { workers } = synthesize({ gpuFamilies: "g5" });
  workers.hasResourceProperties("AWS::Batch::ComputeEnvironment", {
    ComputeResources: { InstanceTypes: ["g5"], Type: "SPOT" },
  });
});

test("two stacks of one account share no name", () => {
  const named = (name: string) => {
    const stacks = synthesize({ name });
    const keys = /^(QueueName|LogGroupName|JobQueueName|JobDefinitionName|BucketName|FunctionName|RoleName)$/;
    return [stacks.parameterServer, stacks.workers].flatMap((each) =>
      Object.values(each.toJSON().Resources as Record<string, { Type: string; Properties: object }>).flatMap(
        ({ Type, Properties }) =>
          Object.entries(Properties)
            .filter(
              ([key, value]) =>
                typeof value === "string" && (keys.test(key) || Type === "AWS::SSM::Parameter"),
            )
            .filter(([key]) => key !== "Type" && key !== "Value")
            .map(([, value]) => `${Type} ${value}`),
      ),
    );
  };
  const one = new Set(named("one"));
  assert.ok(one.size > 15);
  assert.deepEqual(
    named("one-b").filter((name) => one.has(name)),
    [],
  );
});
