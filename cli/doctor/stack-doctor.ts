import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import type { Device } from "../../cloud/worker-groups.ts";
import { describe } from "../../protocol/errors.ts";
import { keys } from "../../protocol/keys.ts";
import { explainAws, serviceConfig } from "../targets/aws.ts";
import { openStack } from "../targets/stack.ts";
import { StackLogs } from "../targets/stack-logs.ts";
import type { StackTarget } from "../targets/target.ts";
import { several } from "../terminal/format.ts";
import { examine, type Finding } from "./finding.ts";
import { checkPermissions } from "./permissions/check.ts";
import { queueTrouble } from "./stack-queues.ts";
import { checkGpuQuotas, checkLambdaQuota } from "./stack-quotas.ts";

/** No object has this name: what counts is whether one may ask. */
const PROBE = "doctor";

/** `ps-submit doctor --stack NAME`: what a submission would meet on AWS, asked so that nothing stays changed. */
export async function doctorOfStack(name: string): Promise<number> {
  let target: StackTarget | null = null;
  const open = async (): Promise<Finding> => {
    target = await openStack(name);
    return { grade: "good", what: "stack", found: `${name}, bucket ${target.stack.bucket}` };
  };
  const first = await examineQuietly("stack", open);
  if (target === null) return examine([checkIdentity, () => first], `on stack ${name}`);
  const opened: StackTarget = target;
  const { workers } = opened.stack;
  try {
    return await examine(
      [
        checkIdentity,
        () => first,
        () => checkStore(opened),
        () => checkQueues(opened),
        () => checkLogs(opened),
        ...(workers === null ? [noWorkers(name)] : []),
        ...(["gpu", "cpu"] as const).flatMap((device) =>
          workers?.pools[device] ? [() => checkWorkers(opened, device)] : [],
        ),
        ...(workers?.pools.gpu ? [checkGpuQuotas] : []),
        checkLambdaQuota,
        () => checkPermissions(opened.stack, process.env),
      ],
      `on stack ${name}`,
    );
  } finally {
    opened.close();
  }
}

/** An error is a finding, too. */
async function examineQuietly(what: string, check: () => Promise<Finding>): Promise<Finding> {
  try {
    return await check().catch(explainAws);
  } catch (error) {
    return { grade: "bad", what, found: describe(error) };
  }
}

const checkIdentity = () =>
  examineQuietly("credentials", async () => {
    const client = new STSClient(serviceConfig(process.env, "STS"));
    try {
      const [{ Arn = "" }, region] = [
        await client.send(new GetCallerIdentityCommand({})),
        await client.config.region(),
      ];
      return { grade: "good", what: "credentials", found: `${Arn} in ${region}` };
    } finally {
      client.destroy();
    }
  });

const checkStore = ({ cloud }: StackTarget) =>
  examineQuietly("S3", async () => {
    const jobs = await cloud.store.listFolders(keys.jobs);
    await cloud.jobs.find(PROBE);
    return {
      grade: "good",
      what: "S3",
      found: `the bucket can be listed and read, ${several(jobs.length, "job")}`,
    };
  });

const checkQueues = ({ cloud }: StackTarget) =>
  examineQuietly("SQS", async () => {
    const { waiting, inFlight } = await cloud.queues.depth(cloud.updates);
    await cloud.queues.findTasks(PROBE, 1);
    return { grade: "good", what: "SQS", found: `updates: ${waiting} wait, ${inFlight} are at work` };
  });

const checkLogs = ({ stack }: StackTarget) =>
  examineQuietly("logs", async () => {
    const logs = new StackLogs(process.env);
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

const checkWorkers = ({ stack, cloud }: StackTarget, device: Device) =>
  examineQuietly(`${device} workers`, async () => {
    const { queue = "", image = "" } = stack.workers?.pools[device] ?? {};
    await cloud.batch?.groups(PROBE, 1);
    const trouble = await queueTrouble(queue, process.env);
    const found = trouble ?? `job queue ${queue}, image ${image}`;
    return { grade: trouble === null ? "good" : "bad", what: `${device} workers`, found };
  });
