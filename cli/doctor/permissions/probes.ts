import * as batch from "@aws-sdk/client-batch";
import * as logs from "@aws-sdk/client-cloudwatch-logs";
import * as s3 from "@aws-sdk/client-s3";
import * as quotas from "@aws-sdk/client-service-quotas";
import * as ssm from "@aws-sdk/client-ssm";
import { keys } from "../../../protocol/keys.ts";
import { parameterFolder, type WorkerPool } from "../../targets/stack-parameters.ts";
import { GPU_ON_DEMAND } from "../stack-quotas.ts";
import type { Probe, Trial } from "./probe.ts";
import { queueProbes } from "./queue-probes.ts";

/**
 * A probe for everything that the stack's policy for submitters allows (infra/submitter-policy.ts), each in a form that
 * AWS answers after it has checked permissions. The probes of one service must run in this order.
 */
export const permissionProbes = (trial: Trial): readonly Probe[] => [
  ...objectProbes(trial),
  ...bucketProbes(trial),
  ...queueProbes(trial),
  ...submissionProbes(trial),
  ...batchProbes(trial),
  ...otherProbes(trial),
];

/** No body has this MD5. S3 compares it after it has allowed the request and read the body, and then stores nothing. */
const WRONG_MD5 = Buffer.alloc(16).toString("base64");
/** The id of no upload. */
const UPLOAD = "doctor";

function objectProbes({ stack: { bucket }, clients, job }: Trial): Probe[] {
  type ObjectName = { readonly Bucket: string; readonly Key: string };
  const on = (
    Keys: readonly string[],
    action: string,
    refusals: string[],
    ask: (at: ObjectName) => Promise<unknown>,
  ) =>
    Keys.map((Key) => ({
      ...{ action, refusals, resources: [`${bucket}/${Key}`] },
      ask: () => ask({ Bucket: bucket, Key }),
    }));
  const uploads = [keys.dataset(job, "tokens.bin"), keys.pretrained(job, "model.safetensors")];
  const ofWorkers = [keys.checkpoint(job, 0, "model.safetensors"), keys.frozen(job)];
  const [record, module, active] = [keys.job(job), keys.module(job), keys.active(job, 1)];
  const written = [...uploads, module, record, keys.state(job), active];
  return [
    ...on([record, module, ...uploads], "s3:GetObject", ["NoSuchKey"], (at) =>
      clients.s3.send(new s3.GetObjectCommand(at)),
    ),
    ...on(written, "s3:PutObject", ["BadDigest"], (at) =>
      clients.s3.send(new s3.PutObjectCommand({ ...at, Body: job, ContentMD5: WRONG_MD5 })),
    ),
    ...on([...written, ...ofWorkers], "s3:AbortMultipartUpload", ["NoSuchUpload"], (at) =>
      clients.s3.send(new s3.AbortMultipartUploadCommand({ ...at, UploadId: UPLOAD })),
    ),
    ...on([...uploads, ...ofWorkers], "s3:ListMultipartUploadParts", ["NoSuchUpload"], (at) =>
      clients.s3.send(new s3.ListPartsCommand({ ...at, UploadId: UPLOAD })),
    ),
    // Deleting what is not there is no error.
    ...on([record, active, keys.gradient(job, 0, 0, 0)], "s3:DeleteObject", [], (at) =>
      clients.s3.send(new s3.DeleteObjectCommand(at)),
    ),
  ];
}

function bucketProbes({ stack: { bucket: Bucket }, clients }: Trial): Probe[] {
  const on = (action: string, ask: () => Promise<unknown>) => ({
    ...{ action, refusals: [], resources: [Bucket], ask },
  });
  return [
    on("s3:ListBucket", () => clients.s3.send(new s3.ListObjectsV2Command({ Bucket, MaxKeys: 1 }))),
    on("s3:ListBucketMultipartUploads", () =>
      clients.s3.send(new s3.ListMultipartUploadsCommand({ Bucket, MaxUploads: 1 })),
    ),
  ];
}

/**
 * An array of -1 jobs. AWS documents that an array has from 2 to 10,000, and its model of the request does not say so:
 * the service itself refuses it, as we assume, after it has checked permissions.
 */
function submissionProbes({ stack: { queuePrefix, workers }, clients, job }: Trial): Probe[] {
  const probe = ({ queue, definition }: WorkerPool): Probe => ({
    action: "batch:SubmitJob",
    refusals: ["ClientException"],
    resources: [`job-queue/${queue}`, `job-definition/${definition.replace(/^.*job-definition\//, "")}`],
    async ask() {
      const name = { jobName: `${queuePrefix}${job}-workers-1`, jobQueue: queue, jobDefinition: definition };
      const command = new batch.SubmitJobCommand({ ...name, arrayProperties: { size: -1 } });
      const { jobId } = await clients.batch.send(command);
      const reason = "it was to be refused";
      if (jobId !== undefined) await clients.batch.send(new batch.TerminateJobCommand({ jobId, reason }));
    },
  });
  return Object.values(workers?.pools ?? {}).map(probe);
}

/** Batch has one error for every mistake of a caller, such as an id or a queue that does not exist. */
function batchProbes({ stack: { name, workers }, clients }: Trial): Probe[] {
  const on = (action: string, ask: () => Promise<unknown>, resource = "*") => ({
    ...{ action, refusals: ["ClientException"], resources: [resource], ask },
  });
  const jobId = crypto.randomUUID();
  const jobQueue = Object.values(workers?.pools ?? {})[0]?.queue ?? `${name}-cpu`;
  const reason = "no job has this id";
  const { batch: client } = clients;
  return [
    on("batch:ListJobs", () => client.send(new batch.ListJobsCommand({ jobQueue, maxResults: 1 }))),
    on("batch:DescribeJobs", () => client.send(new batch.DescribeJobsCommand({ jobs: [jobId] }))),
    on(
      "batch:TerminateJob",
      () => client.send(new batch.TerminateJobCommand({ jobId, reason })),
      `job/${jobId}`,
    ),
    on("batch:DescribeJobQueues", () => client.send(new batch.DescribeJobQueuesCommand({ maxResults: 1 }))),
    on("batch:DescribeComputeEnvironments", () =>
      client.send(new batch.DescribeComputeEnvironmentsCommand({ maxResults: 1 })),
    ),
  ];
}

/** Finding stacks, reading logs, and asking for quotas. */
function otherProbes({ stack, clients }: Trial): Probe[] {
  const logGroupName = stack.logs.updates;
  const logStream = { logGroupName, logStreamName: "doctor", limit: 1 };
  const group = [`log-group:${logGroupName}`];
  const missing = ["ResourceNotFoundException"];
  const found = (Path: string): Probe => ({
    ...{
      action: "ssm:GetParametersByPath",
      refusals: [],
      resources: [`parameter${Path.replace(/\/$/, "")}`],
    },
    ask: () => clients.ssm.send(new ssm.GetParametersByPathCommand({ Path, MaxResults: 1 })),
  });
  return [
    found(parameterFolder()),
    found(parameterFolder(stack.name)),
    {
      ...{ action: "logs:FilterLogEvents", refusals: missing, resources: group },
      ask: () => clients.logs.send(new logs.FilterLogEventsCommand({ logGroupName, limit: 1 })),
    },
    {
      ...{ action: "logs:GetLogEvents", refusals: missing, resources: group },
      ask: () => clients.logs.send(new logs.GetLogEventsCommand(logStream)),
    },
    {
      ...{ action: "servicequotas:GetServiceQuota", resources: ["*"], refusals: ["NoSuchResourceException"] },
      ask: () => clients.quotas.send(new quotas.GetServiceQuotaCommand(GPU_ON_DEMAND)),
    },
  ];
}
