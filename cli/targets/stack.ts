import { connect } from "../../cloud/connect.ts";
import { keys } from "../../protocol/keys.ts";
import { discover } from "./stack-parameters.ts";
import type { StackTarget } from "./target.ts";

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Opens a stack that is deployed on AWS.
 *
 * @throws InvalidInput when there is none of that name
 */
export async function openStack(name: string, env: Env = process.env): Promise<StackTarget> {
  const stack = await discover(name, env);
  const queues = Object.values(stack.workers?.pools ?? {}).map(({ queue }) => queue);
  const cloud = connect({
    ...env,
    PS_BUCKET: stack.bucket,
    PS_UPDATES_URL: stack.updates,
    PS_QUEUE_PREFIX: stack.queuePrefix,
    PS_JOB_QUEUES: queues.join(","),
  });
  return {
    kind: "stack",
    where: `on stack ${name}`,
    stack,
    cloud,
    async running() {
      const markers = await cloud.store.list(keys.actives);
      return new Set(markers.map(({ key }) => key.split("/")[1] ?? ""));
    },
    close: () => cloud.close(),
  };
}
