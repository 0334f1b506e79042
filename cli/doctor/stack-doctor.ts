import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import type { Device } from "../../cloud/worker-groups.ts";
import { describe } from "../../protocol/errors.ts";
import { keys } from "../../protocol/keys.ts";
import { required } from "../../protocol/required.ts";
import type { Environment, StackAddress } from "../targets/address.ts";
import { explainAws, serviceConfig } from "../targets/aws.ts";
import { StackLogs } from "../targets/stack-logs.ts";
import { poolOf } from "../targets/stack-parameters.ts";
import type { StackTarget } from "../targets/target.ts";
import { several } from "../terminal/format.ts";
import { examine, type Finding } from "./finding.ts";
import { checkPermissions } from "./permissions/check.ts";
import { queueTrouble } from "./stack-queues.ts";
import { checkGpuQuotas, checkLambdaQuota } from "./stack-quotas.ts";

/** A job that does not exist: the check is whether the caller may read it. */
const PROBE = "doctor";

/** Prints what a submission would meet on AWS, asked so that nothing stays changed. Returns the exit code. */
export async function doctorOfStack(
  { stack: name, where, environment }: StackAddress,
  openStack: () => Promise<StackTarget>,
): Promise<number> {
  let target: StackTarget | null = null;
  const identity = () => checkIdentity(environment);
  const open = async (): Promise<Finding> => {
    target = await openStack();
    return { grade: "good", what: "stack", found: `${name}, bucket ${target.stack.bucket}` };
  };
  const first = await examineSafely("stack", open);
  if (target === null) return examine([identity, () => first], where);
  const opened: StackTarget = target;
  const { workers } = opened.stack;
  try {
    return await examine(
      [
        identity,
        () => first,
        () => checkStore(opened),
        () => checkQueues(opened),
        () => checkLogs(opened),
        ...(workers === null ? [noWorkers(name)] : []),
        ...(["gpu", "cpu"] as const).flatMap((device) =>
          workers?.pools[device] ? [() => checkWorkers(opened, device)] : [],
        ),
        ...(workers?.pools.gpu ? [() => checkGpuQuotas(environment)] : []),
        () => checkLambdaQuota(environment),
        () => checkPermissions(opened),
      ],
      where,
    );
  } finally {
    opened.close();
  }
}

/** Makes a check whose error is a finding. */
async function examineSafely(what: string, check: () => Promise<Finding>): Promise<Finding> {
  try {
    return await check().catch(explainAws);
  } catch (error) {
    return { grade: "bad", what, found: describe(error) };
  }
}

const checkIdentity = (environment: Environment) =>
  examineSafely("credentials", async () => {
    const client = new STSClient(serviceConfig(environment, "STS"));
    try {
      const { Arn } = await client.send(new GetCallerIdentityCommand({}));
      const region = await client.config.region();
      const found = `${required(Arn, "the ARN of the caller")} in ${region}`;
      return { grade: "good", what: "credentials", found };
    } finally {
      client.destroy();
    }
  });

const checkStore = ({ cloud }: StackTarget) =>
  examineSafely("S3", async () => {
    const jobs = await cloud.store.listFolders(keys.jobs);
    await cloud.jobs.find(PROBE);
    return {
      grade: "good",
      what: "S3",
      found: `the bucket can be listed and read, ${several(jobs.length, "job")}`,
    };
  });

const checkQueues = ({ cloud }: StackTarget) =>
  examineSafely("SQS", async () => {
    const { waiting, inFlight } = await cloud.queues.depth(cloud.updates);
    await cloud.queues.findTasks(PROBE, 1);
    return { grade: "good", what: "SQS", found: `updates: ${waiting} wait, ${inFlight} are at work` };
  });

const checkLogs = ({ stack, address }: StackTarget) =>
  examineSafely("logs", async () => {
    const logs = new StackLogs(address.environment);
    try {
      const since = Date.now() - 60_000;
      for await (const _ of logs.lines({ group: stack.logs.watchdog, since })) break;
      return { grade: "good", what: "logs", found: `${stack.logs.watchdog} can be read` };
    } finally {
      logs.close();
    }
  });

const noWorkers = (name: string) => (): Finding => ({
  grade: "bad",
  what: "workers",
  found: "none are deployed",
  fix: `npx cdk deploy ${name}-Workers -c name=${name}`,
});

const checkWorkers = ({ stack, cloud, address }: StackTarget, device: Device) =>
  examineSafely(`${device} workers`, async () => {
    const { queue, image } = poolOf(stack, device);
    await cloud.batch?.groups(PROBE, 1);
    const trouble = await queueTrouble(queue, address.environment);
    const found = trouble ?? `job queue ${queue}, image ${image}`;
    return { grade: trouble === null ? "good" : "bad", what: `${device} workers`, found };
  });
