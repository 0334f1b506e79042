import { paginateGetParametersByPath, SSMClient } from "@aws-sdk/client-ssm";
import { z } from "zod";
import type { Device } from "../../cloud/worker-groups.ts";
import { InvalidInput } from "../../protocol/errors.ts";
import { required } from "../../protocol/required.ts";
import type { Environment } from "./address.ts";
import { explainAws, serviceConfig } from "./aws.ts";

/** The workers of one device: where they are asked for, and what they run. */
export type WorkerPool = {
  /** Name of the Batch job queue. */
  readonly queue: string;
  /** ARN of the job definition, with its revision. */
  readonly definition: string;
  /** URI of the container image that the job definition names. */
  readonly image: string;
};

/** A deployed stack, as its parameters describe it. */
export type Stack = {
  readonly name: string;
  readonly bucket: string;
  readonly updates: string;
  readonly queuePrefix: string;
  /** Log groups of the functions. */
  readonly logs: Readonly<Record<"updates" | "dead-letters" | "watchdog", string>>;
  /** Null while the Workers stack is not deployed. */
  readonly workers: {
    /** By device; at least one. */
    readonly pools: Readonly<Partial<Record<Device, WorkerPool>>>;
    readonly logs: string;
  } | null;
};

const ROOT = "/serverless-ps/";
/** The path of a stack's parameters; without a name, of those of all stacks. */
export const parameterFolder = (name?: string): string => (name === undefined ? ROOT : `${ROOT}${name}/`);
const value = z.string().min(1);

const serverSchema = z.object({
  bucket: value,
  "updates-url": value,
  "queue-prefix": value,
  "logs/updates": value,
  "logs/dead-letters": value,
  "logs/watchdog": value,
});

/**
 * Reads what `cdk deploy` left about a stack.
 *
 * @throws InvalidInput when there is no such stack
 * @throws Unrecoverable when AWS does not let us ask
 */
export async function discover(name: string, env: Environment): Promise<Stack> {
  const client = new SSMClient(serviceConfig(env, "SSM"));
  try {
    const parameters = await parametersBelow(client, parameterFolder(name)).catch(explainAws);
    if (parameters.size === 0) return await noSuchStack(client, name);
    return stackFrom(name, parameters);
  } finally {
    client.destroy();
  }
}

/** Returns the values of parameters by what follows `path` in their names. */
async function parametersBelow(client: SSMClient, path: string): Promise<Map<string, string>> {
  const values = new Map<string, string>();
  for await (const page of paginateGetParametersByPath({ client }, { Path: path, Recursive: true })) {
    for (const { Name, Value } of required(page.Parameters, `the parameters below ${path}`)) {
      const name = required(Name, `the name of a parameter below ${path}`);
      values.set(name.slice(path.length), required(Value, `the value of the parameter ${name}`));
    }
  }
  return values;
}

/** Reads a stack from its parameters, which are given by what follows the stack's name in theirs. */
export function stackFrom(name: string, parameters: ReadonlyMap<string, string>): Stack {
  const parsed = serverSchema.safeParse(Object.fromEntries(parameters));
  if (!parsed.success) {
    const missing = parsed.error.issues.map((issue) => `${parameterFolder(name)}${issue.path.join(".")}`);
    throw new InvalidInput(
      `the stack ${name} lacks the SSM parameters ${missing.join(", ")}; deploy ${name}-ParameterServer again`,
    );
  }
  const { bucket, "updates-url": updates, "queue-prefix": queuePrefix, ...logs } = parsed.data;
  return {
    ...{ name, bucket, updates, queuePrefix },
    logs: {
      updates: logs["logs/updates"],
      "dead-letters": logs["logs/dead-letters"],
      watchdog: logs["logs/watchdog"],
    },
    workers: workersFrom(parameters),
  };
}

function workersFrom(parameters: ReadonlyMap<string, string>): Stack["workers"] {
  const logs = parameters.get("logs/workers");
  if (logs === undefined) return null;
  const pools: Partial<Record<Device, WorkerPool>> = {};
  for (const device of ["gpu", "cpu"] as const) {
    const [queue, definition, image] = ["job-queue", "job-definition", "image"].map((kind) =>
      parameters.get(`${kind}/${device}`),
    );
    if (queue && definition && image) pools[device] = { queue, definition, image };
  }
  return Object.keys(pools).length === 0 ? null : { pools, logs };
}

async function noSuchStack(client: SSMClient, name: string): Promise<never> {
  const region = await client.config.region();
  const all = await parametersBelow(client, parameterFolder()).catch(explainAws);
  const names = [...new Set([...all.keys()].map((key) => key.split("/")[0]))].sort();
  throw new InvalidInput(
    names.length === 0
      ? `there is no stack ${name} in ${region}, nor any other; deploy it with: npx cdk deploy --all -c name=${name}, or name another --region`
      : `there is no stack ${name} in ${region}; there are ${names.join(", ")}`,
  );
}

/**
 * Returns the worker pool of a device.
 *
 * @throws InvalidInput when the stack has none
 */
export function poolOf({ name, workers }: Stack, device: Device): WorkerPool {
  if (workers === null) {
    throw new InvalidInput(
      `the stack ${name} has no workers; deploy ${name}-Workers: npx cdk deploy ${name}-Workers -c name=${name}`,
    );
  }
  const pool = workers.pools[device];
  if (pool) return pool;
  throw new InvalidInput(
    `the stack ${name} has no ${device} workers; it has ${Object.keys(workers.pools).join(", ")} (field device of the job)`,
  );
}
