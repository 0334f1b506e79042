import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  BatchClient,
  CreateJobQueueCommand,
  DescribeJobsCommand,
  type JobDetail,
  RegisterJobDefinitionCommand,
  type RegisterJobDefinitionCommandInput,
  SubmitJobCommand,
  type SubmitJobCommandInput,
} from "@aws-sdk/client-batch";
import { clientConfig } from "../../cloud/connect.ts";
import { variable } from "../../protocol/environment.ts";
import { required } from "../../protocol/required.ts";
import { waitFor } from "../support/lab.ts";
import { COMPUTE_ENVIRONMENT, type FakeBatchOptions } from "./fake-batch.ts";
import { type FakeBatchServer, startFakeBatch } from "./server.ts";

/** A fake AWS Batch whose containers run the shell script that their variable SCRIPT holds. */
export type ShellBatch = FakeBatchServer & {
  readonly client: BatchClient;
  readonly logs: string;
  /** Submits a job that runs a script. @returns its id */
  submit(script: string, changes?: Partial<SubmitJobCommandInput>): Promise<string>;
  describe(id: string): Promise<JobDetail>;
  /** Waits until a job has one of these statuses. */
  becomes(id: string, ...statuses: readonly string[]): Promise<JobDetail>;
};

export const QUEUE = "test-cpu";
export const DEFINITION = "test-worker";
const DEADLINE_MS = 20_000;

export const access = (endpoint: string) => ({
  AWS_REGION: "us-east-1",
  AWS_ENDPOINT_URL: endpoint,
  AWS_ACCESS_KEY_ID: "local",
  AWS_SECRET_ACCESS_KEY: "local",
});

/** Creates a job queue and registers a definition of one vCPU. @returns the definition's ARN */
export async function furnish(
  client: BatchClient,
  queue: string,
  definition: Partial<RegisterJobDefinitionCommandInput> = {},
  environment: Readonly<Record<string, string>> = {},
): Promise<string> {
  const computeEnvironmentOrder = [{ order: 1, computeEnvironment: COMPUTE_ENVIRONMENT }];
  await client.send(new CreateJobQueueCommand({ jobQueueName: queue, priority: 1, computeEnvironmentOrder }));
  const { jobDefinitionArn } = await client.send(
    new RegisterJobDefinitionCommand({
      jobDefinitionName: DEFINITION,
      type: "container",
      containerProperties: {
        image: "worker",
        resourceRequirements: [
          { type: "VCPU", value: "1" },
          { type: "MEMORY", value: "512" },
        ],
        environment: Object.entries(environment).map(([name, value]) => ({ name, value })),
      },
      ...definition,
    }),
  );
  return required(jobDefinitionArn, "jobDefinitionArn");
}

export async function openShellBatch(options: Partial<FakeBatchOptions> = {}): Promise<ShellBatch> {
  const logs = mkdtempSync(join(tmpdir(), "ps-batch-"));
  const server = await startFakeBatch({
    command: ["/bin/sh", "-c", 'eval "$SCRIPT"'],
    environment: { PATH: variable(process.env, "PATH") },
    logs,
    vcpus: 4,
    ...options,
  });
  const client = new BatchClient({ ...clientConfig(access(server.endpoint)), maxAttempts: 1 });
  await furnish(client, QUEUE);
  const describe = async (id: string) => {
    const { jobs: [job] = [] } = await client.send(new DescribeJobsCommand({ jobs: [id] }));
    if (!job) throw new Error(`no job ${id}`);
    return job;
  };
  return {
    ...server,
    client,
    logs,
    describe,
    async submit(script, changes = {}) {
      const command = new SubmitJobCommand({
        jobName: "a-job",
        jobQueue: QUEUE,
        jobDefinition: DEFINITION,
        containerOverrides: { environment: [{ name: "SCRIPT", value: script }] },
        ...changes,
      });
      return required((await client.send(command)).jobId, "jobId");
    },
    becomes(id, ...statuses) {
      const reached = async () => {
        const job = await describe(id);
        return statuses.includes(required(job.status, "status")) ? job : null;
      };
      return waitFor(reached, `${id} to be ${statuses.join(" or ")}`, DEADLINE_MS);
    },
    async close() {
      client.destroy();
      await server.close();
      rmSync(logs, { recursive: true, force: true });
    },
  };
}
