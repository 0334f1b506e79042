import { Fn, Stack } from "aws-cdk-lib";
import { InstanceClass } from "aws-cdk-lib/aws-ec2";
import { Bucket } from "aws-cdk-lib/aws-s3";
import { StringParameter } from "aws-cdk-lib/aws-ssm";
import type { Construct } from "constructs";
import { Compute } from "./compute.ts";
import { Discovery } from "./discovery.ts";
import { JobDefinitions } from "./job-definitions.ts";
import { names } from "./names.ts";
import { Network } from "./network.ts";
import { queueArn } from "./permissions.ts";
import type { Settings } from "./settings.ts";
import { workerImage } from "./worker-image.ts";
import { createWorkerRole } from "./worker-role.ts";

const gpuClasses = { g4dn: InstanceClass.G4DN, g5: InstanceClass.G5, g6: InstanceClass.G6 } as const;
/** One generation of one maker's processors, since the low bits of a result depend on the instruction set. */
const CPU_CLASSES = [InstanceClass.C6I, InstanceClass.M6I];

/**
 * The stack of the workers' machines. It finds the parameter server by its SSM parameters, so that each stack can be
 * deployed again without the other.
 */
export class Workers extends Stack {
  constructor(scope: Construct, settings: Settings) {
    const { name, zones, gpuFamilies } = settings;
    super(scope, names.workers(name), { description: "serverless-ps: the machines that workers run on" });
    const parameter = (key: string) =>
      StringParameter.valueForStringParameter(this, `${names.folder(name)}/${key}`);
    const updatesUrl = parameter("updates-url");
    const { queues } = new Compute(this, {
      name,
      network: new Network(this, zones),
      families: { gpu: gpuFamilies.map((family) => gpuClasses[family]), cpu: CPU_CLASSES },
    });
    const images = {
      gpu: workerImage(this, "gpu", settings.workerImage),
      cpu: workerImage(this, "cpu", settings.workerImageCpu),
    };
    const { definitions, logs } = new JobDefinitions(this, {
      name,
      images,
      role: createWorkerRole(this, {
        name,
        bucket: Bucket.fromBucketName(this, "Bucket", parameter("bucket")),
        updatesArn: queueArn(this, nameOfQueue(updatesUrl)),
      }),
      environment: {
        PS_BUCKET: parameter("bucket"),
        PS_UPDATES_URL: updatesUrl,
        PS_QUEUE_PREFIX: names.queuePrefix(name),
        PS_CACHE_DIR: "/tmp/serverless-ps",
      },
    });
    new Discovery(this, name, {
      "job-queue/gpu": queues.gpu.jobQueueName,
      "job-queue/cpu": queues.cpu.jobQueueName,
      "job-definition/gpu": definitions.gpu.jobDefinitionArn,
      "job-definition/cpu": definitions.cpu.jobDefinitionArn,
      "image/gpu": images.gpu.uri,
      "image/cpu": images.cpu.uri,
      "logs/workers": logs.logGroupName,
    });
  }
}

/** Returns a queue's name from its URL, `https://HOST/ACCOUNT/NAME`. */
const nameOfQueue = (url: string): string => Fn.select(4, Fn.split("/", url));
