import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BatchClient } from "@aws-sdk/client-batch";
import { GetParametersByPathCommand, PutParameterCommand, SSMClient } from "@aws-sdk/client-ssm";
import { required } from "../../protocol/required.ts";
import type { Installed } from "../../scripts/python-packages.mjs";
import { type FakeBatchServer, startFakeBatch } from "../fake-batch/server.ts";
import { furnish } from "../fake-batch/support.ts";
import { type Ministack, startMinistack } from "./ministack.ts";

/** The stack that `cdk deploy` made on ministack, with a fake Batch beside it, as ministack runs no workers. */
export type Deployment = {
  readonly name: string;
  readonly ministack: Ministack;
  readonly batch: FakeBatchServer;
  /** The SSM parameters, by the part of their names that follows the stack's. */
  readonly parameters: Readonly<Record<string, string>>;
  /** The endpoints and keys with which ps-submit reaches it. */
  readonly environment: Readonly<Record<string, string>>;
  /** Settings for an AWS client of this process. */
  readonly client: ClientSettings;
  close(): Promise<void>;
};

export type ClientSettings = {
  readonly region: string;
  readonly endpoint: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly requestHandler?: { readonly httpsAgent: Agent };
};

export type DeploymentOptions = {
  /** Enforces IAM policies. */
  readonly auth?: boolean;
  /** Makes the environment that a worker's container gets besides its job's, after the stack is deployed. */
  readonly workerEnvironment?: (
    deployment: Omit<Deployment, "batch" | "close">,
  ) => Promise<Record<string, string>>;
};

const NAME = "e2e";
const IMAGE = "registry.test/worker:1";
const WORKERS = 4;
/** The folder where workers keep datasets: of their own, as in a container. */
const CACHE = join(tmpdir(), `ps-e2e-cache-${process.pid}`);
/** The length of a second in the fake's timeouts and grace periods. */
const SECOND_MS = 100;

/** Deploys as a user does: `cdk bootstrap`, `cdk deploy`. */
export async function deploy(installed: Installed, options: DeploymentOptions = {}): Promise<Deployment> {
  const ministack = await startMinistack(installed, { auth: options.auth ?? false });
  try {
    return await deployOn(ministack, options);
  } catch (error) {
    await ministack.stop();
    throw error;
  }
}

async function deployOn(ministack: Ministack, { workerEnvironment }: DeploymentOptions): Promise<Deployment> {
  await cdk(ministack, "bootstrap", "aws://000000000000/us-east-1");
  await cdk(ministack, "deploy", `${NAME}-ParameterServer`, "--require-approval", "never");
  const client = clientOf(ministack);
  const ssm = new SSMClient(client);
  const path = `/serverless-ps/${NAME}/`;
  const { Parameters = [] } = await ssm.send(new GetParametersByPathCommand({ Path: path, Recursive: true }));
  const parameters = Object.fromEntries(
    Parameters.map(({ Name, Value }) => [
      required(Name, "Name").slice(path.length),
      required(Value, "Value"),
    ]),
  );
  const deployed = { name: NAME, ministack, parameters, environment: ministack.environment, client };
  const logs = await mkdtemp(join(tmpdir(), "ps-e2e-"));
  const batch = await startFakeBatch({
    command: [process.execPath, join("dist", "worker.js")],
    environment: {
      PATH: process.env.PATH ?? "",
      HOME: process.env.HOME ?? "",
      ...ministack.environment,
      ...(await workerEnvironment?.(deployed)),
    },
    logs,
    vcpus: WORKERS,
    secondMs: SECOND_MS,
  });
  await describeWorkers(ssm, path, parameters, batch);
  ssm.destroy();
  const environment = {
    ...ministack.environment,
    AWS_ENDPOINT_URL_BATCH: batch.endpoint,
    AWS_ENDPOINT_URL_CLOUDWATCH_LOGS: ministack.endpoint,
  };
  const close = async () => {
    await batch.close();
    await ministack.stop();
    for (const folder of [logs, CACHE]) await rm(folder, { recursive: true, force: true });
  };
  return { ...deployed, batch, environment, close };
}

/** Makes what the Workers stack would: a job queue and a job definition in Batch, and the parameters that name them. */
async function describeWorkers(
  ssm: SSMClient,
  path: string,
  parameters: Readonly<Record<string, string>>,
  { endpoint }: FakeBatchServer,
): Promise<void> {
  const credentials = { accessKeyId: "test", secretAccessKey: "test" };
  const batch = new BatchClient({ region: "us-east-1", endpoint, credentials });
  const environment = {
    ...jobEnvironment(parameters),
    PS_DEVICE: "cpu",
    PS_CACHE_DIR: CACHE,
    TF_NUM_INTRAOP_THREADS: "1",
  };
  const definition = await furnish(batch, `${NAME}-cpu`, {}, environment);
  batch.destroy();
  const values = {
    "job-queue/cpu": `${NAME}-cpu`,
    "job-definition/cpu": definition,
    "image/cpu": IMAGE,
    "logs/workers": `/serverless-ps/${NAME}/workers`,
  };
  for (const [key, Value] of Object.entries(values)) {
    await ssm.send(new PutParameterCommand({ Name: `${path}${key}`, Value, Type: "String" }));
  }
}

/** The environment with which a process works on the jobs of a stack. */
export function jobEnvironment(parameters: Deployment["parameters"]) {
  return {
    PS_BUCKET: required(parameters.bucket, "bucket"),
    PS_UPDATES_URL: required(parameters["updates-url"], "updates-url"),
    PS_QUEUE_PREFIX: required(parameters["queue-prefix"], "queue-prefix"),
  };
}

/** Settings for an AWS client. With https it trusts the certificate of this ministack and no other. */
function clientOf({ endpoint, certificate }: Ministack): ClientSettings {
  return {
    region: "us-east-1",
    endpoint,
    credentials: { accessKeyId: "test", secretAccessKey: "test" },
    ...(certificate !== undefined && {
      requestHandler: { httpsAgent: new Agent({ ca: readFileSync(certificate) }) },
    }),
  };
}

/** Runs `npx cdk` on the project's app. `CDK_HOME` is ministack's own folder, as the CLI remembers accounts there. */
async function cdk(
  { environment, certificate, folder }: Ministack,
  ...args: readonly string[]
): Promise<void> {
  const context = { name: NAME, workerImage: IMAGE, workerImageCpu: IMAGE };
  const result = await run(process.execPath, [join("node_modules", "aws-cdk", "bin", "cdk"), ...args], {
    env: {
      ...environment,
      ...(certificate !== undefined && { AWS_CA_BUNDLE: certificate }),
      CDK_HOME: join(folder, "cdk"),
      CI: "1",
    },
    args: [
      ...Object.entries(context).flatMap(([key, value]) => ["-c", `${key}=${value}`]),
      // The test's own command has built it, and others may be using it.
      ...["--build", "true", "--output", join(folder, "cdk.out")],
    ],
  });
  if (result.code !== 0) throw new Error(`cdk ${args.join(" ")}: ${result.output.slice(-4000)}`);
}

export type Run = { readonly code: number | null; readonly stdout: string; readonly output: string };

/** Runs a command to its end, without the AWS settings of this process. */
export function run(
  command: string,
  first: readonly string[],
  options: {
    readonly env: Readonly<Record<string, string>>;
    readonly args?: readonly string[];
    readonly cwd?: string;
  },
): Promise<Run> {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("AWS_"));
  const child = spawn(command, [...first, ...(options.args ?? [])], {
    env: { ...Object.fromEntries(inherited), ...options.env },
    cwd: options.cwd,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, output] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk;
    output += chunk;
  });
  child.stderr.on("data", (chunk: Buffer) => {
    output += chunk;
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, stdout, output }));
  });
}
