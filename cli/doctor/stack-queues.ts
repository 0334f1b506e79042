import {
  BatchClient,
  DescribeComputeEnvironmentsCommand,
  DescribeJobQueuesCommand,
} from "@aws-sdk/client-batch";
import { required } from "../../protocol/required.ts";
import type { Environment } from "../targets/address.ts";
import { serviceConfig } from "../targets/aws.ts";

/** The fields of a queue or a compute environment that say whether something can run. */
type Part = {
  readonly state?: string | undefined;
  readonly status?: string | undefined;
  readonly statusReason?: string | undefined;
};

/** Returns why nothing in a Batch job queue can start; null when nothing is wrong with it. */
export async function queueTrouble(queue: string, env: Environment): Promise<string | null> {
  const client = new BatchClient(serviceConfig(env, "BATCH"));
  try {
    const { jobQueues = [] } = await client.send(new DescribeJobQueuesCommand({ jobQueues: [queue] }));
    const [found] = jobQueues;
    if (!found) return `there is no job queue ${queue}; deploy the Workers stack`;
    const own = troubleOf(`job queue ${queue}`, found);
    if (own !== null) return own;
    const order = required(found.computeEnvironmentOrder, `the compute environments of job queue ${queue}`);
    const names = order.map(({ computeEnvironment }) =>
      required(computeEnvironment, `a compute environment of job queue ${queue}`),
    );
    return await environmentTrouble(client, names);
  } finally {
    client.destroy();
  }
}

/** One compute environment that can run something is enough. */
async function environmentTrouble(client: BatchClient, names: readonly string[]): Promise<string | null> {
  if (names.length === 0) return null;
  const command = new DescribeComputeEnvironmentsCommand({ computeEnvironments: [...names] });
  const { computeEnvironments = [] } = await client.send(command);
  const troubles = computeEnvironments.map((one) =>
    troubleOf(`compute environment ${one.computeEnvironmentName}`, one),
  );
  return troubles.every((trouble) => trouble !== null) ? (troubles[0] ?? null) : null;
}

function troubleOf(what: string, { state, status, statusReason }: Part): string | null {
  const reason = statusReason ? `: ${statusReason}` : "";
  if (state === "DISABLED") return `${what} is disabled${reason}`;
  return status === "INVALID" ? `${what} is invalid${reason}` : null;
}
