import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { BatchClient } from "@aws-sdk/client-batch";
import type { Batch } from "../../cloud/batch.ts";
import { type Cloud, clientConfig, connect } from "../../cloud/connect.ts";
import type { FakeBatchOptions } from "../fake-batch/fake-batch.ts";
import { type FakeBatchServer, startFakeBatch } from "../fake-batch/server.ts";
import { access, furnish } from "../fake-batch/support.ts";
import { type Lab, openLab } from "../support/lab.ts";

/** A lab whose workers are jobs of a fake AWS Batch. */
export type BatchLab = Omit<Lab, "cloud"> & {
  readonly cloud: Cloud & { readonly batch: Batch };
  readonly fake: FakeBatchServer["batch"];
  /** What `connect` makes the cloud from. */
  readonly environment: Readonly<Record<string, string>>;
  /** Asks for workers of a job's attempt. @returns the id of their Batch job */
  workers(job: string, size: number, environment?: Record<string, string>, attempt?: number): Promise<string>;
};

const QUEUE = "ps-cpu";

/** @param definition how the job definition differs from one of one vCPU without retries */
export async function openBatchLab(
  options: Pick<FakeBatchOptions, "command" | "vcpus" | "secondMs">,
  definition: Parameters<typeof furnish>[2] = {},
): Promise<BatchLab> {
  const lab = await openLab();
  const { home } = lab.target;
  const logs = join(home, "logs", "batch");
  mkdirSync(logs, { recursive: true });
  const container = { ...process.env, ...lab.target.environment, TF_NUM_INTRAOP_THREADS: "1" };
  const environment = Object.entries({ ...container, PS_CACHE_DIR: join(home, "cache") });
  const fake = await startFakeBatch({
    ...options,
    logs,
    environment: Object.fromEntries(environment.map(([name, value]) => [name, value ?? ""])),
  });
  const client = new BatchClient(clientConfig(access(fake.endpoint)));
  const arn = await furnish(client, QUEUE, definition);
  // Of the two job queues of a stack, one is not deployed.
  const ours = { PS_JOB_QUEUES: `ps-gpu,${QUEUE}`, AWS_ENDPOINT_URL_BATCH: fake.endpoint };
  const cloud = connect({ ...lab.target.environment, ...ours });
  const { batch } = cloud;
  if (!batch) throw new Error("the environment names job queues, and the cloud has no Batch");
  return {
    ...lab,
    cloud: { ...cloud, batch },
    fake: fake.batch,
    environment: { ...lab.target.environment, ...ours },
    workers: (job, size, more = {}, attempt = 1) =>
      batch.submit({
        job,
        attempt,
        queue: QUEUE,
        definition: arn,
        size,
        environment: { PS_JOB: job, ...more },
      }),
    async close() {
      client.destroy();
      cloud.close();
      await fake.close();
      await lab.close();
    },
  };
}
