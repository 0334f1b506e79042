import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  CancelJobCommand,
  ClientException,
  DescribeComputeEnvironmentsCommand,
  DescribeJobDefinitionsCommand,
  DescribeJobQueuesCommand,
  DescribeJobsCommand,
  ListJobsCommand,
  type ListJobsCommandInput,
  type RegisterJobDefinitionCommandInput,
  TerminateJobCommand,
} from "@aws-sdk/client-batch";
import { DEFINITION, furnish, openShellBatch, QUEUE, type ShellBatch } from "./support.ts";

/** What AWS Batch refuses, the fake refuses. */

let lab: ShellBatch;
before(async () => {
  // No room: all that is submitted waits.
  lab = await openShellBatch({ vcpus: 0 });
});
after(() => lab.close());

const refused = (message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ClientException, String(error));
  assert.match(error.message, message);
  return true;
};
const list = (input: ListJobsCommandInput) => lab.client.send(new ListJobsCommand(input));
const named = (name: string) => list({ jobQueue: QUEUE, filters: [{ name: "JOB_NAME", values: [name] }] });

test("an array has 2 to 10,000 children", async () => {
  for (const size of [0, 1, 10_001])
    await assert.rejects(lab.submit("", { arrayProperties: { size } }), refused(/from 2 to 10,000/));
});

test("a job's name has at most 128 letters, digits, dashes and underscores, and begins with no dash", async () => {
  await lab.submit("", { jobName: "n".repeat(128) });
  for (const jobName of ["n".repeat(129), "a.b", "-a", "a b"])
    await assert.rejects(lab.submit("", { jobName }), refused(/jobName/));
});

test("queues, definitions and jobs that are not there are named", async () => {
  await assert.rejects(lab.submit("", { jobQueue: "nowhere" }), refused(/JobQueue nowhere not found/));
  await assert.rejects(lab.submit("", { jobDefinition: `${DEFINITION}:7` }), refused(/:7 not found/));
  await assert.rejects(list({ jobQueue: "nowhere" }), refused(/JobQueue nowhere not found/));
  await assert.rejects(list({ arrayJobId: "none" }), refused(/no array job/));
  const command = new TerminateJobCommand({ jobId: "none", reason: "" });
  await assert.rejects(lab.client.send(command), refused(/none does not exist/));
});

test("variables that are Batch's own cannot be set", async () => {
  const environment = [{ name: "AWS_BATCH_JOB_ID", value: "mine" }];
  await assert.rejects(lab.submit("", { containerOverrides: { environment } }), refused(/reserved/));
});

test("members that are missing or of another type are refused by the SDK's own model", async () => {
  const post = (path: string, body: unknown) =>
    fetch(`${lab.endpoint}${path}`, { method: "POST", body: JSON.stringify(body) });
  const answer = async (path: string, body: unknown) => {
    const response = await post(path, body);
    return `${response.status} ${await response.text()}`;
  };
  assert.match(await answer("/v1/terminatejob", { jobId: "x" }), /^400 .*TerminateJob.reason is required/);
  assert.match(await answer("/v1/describejobs", { jobs: "x" }), /^400 .*must be a list/);
  assert.match(await answer("/v1/submitjob", { jobName: 1 }), /^400 .*must be a string/);
  assert.match(await answer("/v1/listjobs", { queue: "x" }), /^400 .*no member queue/);
});

test("an operation that nothing here calls is answered with its name", async () => {
  const command = new CancelJobCommand({ jobId: "x", reason: "" });
  await assert.rejects(lab.client.send(command), /has no POST \/v1\/canceljob/);
});

test("a reason has at most 1,024 characters, a description at most 100 jobs", async () => {
  const jobId = await lab.submit("");
  const long = new TerminateJobCommand({ jobId, reason: "r".repeat(1025) });
  await assert.rejects(lab.client.send(long), refused(/at most 1024/));
  const many = new DescribeJobsCommand({ jobs: Array.from({ length: 101 }, () => jobId) });
  await assert.rejects(lab.client.send(many), refused(/at most 100/));
});

test("a description leaves out jobs that are not there", async () => {
  const { jobs } = await lab.client.send(new DescribeJobsCommand({ jobs: ["none"] }));
  assert.deepEqual(jobs, []);
});

test("a filter by name finds every status, the newest first, and neither children nor other queues' jobs", async () => {
  await furnish(lab.client, "other");
  const first = await lab.submit("", { jobName: "Filter-1", arrayProperties: { size: 2 } });
  const second = await lab.submit("", { jobName: "filter-1" });
  await lab.submit("", { jobName: "filter-10" });
  await lab.submit("", { jobName: "filter-1", jobQueue: "other" });
  await lab.client.send(new TerminateJobCommand({ jobId: second, reason: "" }));
  await lab.becomes(`${first}:0`, "RUNNABLE");
  const { jobSummaryList } = await named("filter-1");
  assert.deepEqual(
    jobSummaryList?.map(({ jobId }) => jobId),
    [second, first],
  );
  assert.equal((await named("FILTER-1*")).jobSummaryList?.length, 3);
});

test("without a filter one status is listed, RUNNING unless another is named", async () => {
  const id = await lab.submit("", { arrayProperties: { size: 2 } });
  await lab.becomes(`${id}:1`, "RUNNABLE");
  assert.deepEqual((await list({ jobQueue: QUEUE })).jobSummaryList, []);
  const { jobSummaryList } = await list({ arrayJobId: id, jobStatus: "RUNNABLE" });
  assert.deepEqual(
    jobSummaryList?.map(({ jobId, arrayProperties }) => [jobId, arrayProperties?.index]),
    [
      [`${id}:0`, 0],
      [`${id}:1`, 1],
    ],
  );
  await assert.rejects(list({ jobQueue: QUEUE, arrayJobId: id }), refused(/exactly one/));
  await assert.rejects(list({}), refused(/exactly one/));
});

test("pages of a filtered list have 100 jobs", async () => {
  await Promise.all(Array.from({ length: 101 }, () => lab.submit("", { jobName: "paged" })));
  const { jobSummaryList: first, nextToken } = await named("paged");
  assert.equal(first?.length, 100);
  const filters = [{ name: "JOB_NAME", values: ["paged"] }];
  const rest = await list({ jobQueue: QUEUE, filters, ...(nextToken && { nextToken }) });
  assert.equal(rest.jobSummaryList?.length, 1);
  assert.equal(rest.nextToken, undefined);
});

test("retry strategies and timeouts of a definition are held to AWS's limits", async () => {
  const register = (changes: Partial<RegisterJobDefinitionCommandInput>) =>
    furnish(lab.client, `queue-${Math.random()}`, changes);
  const exit = { onReason: "*", action: "EXIT" as const };
  await assert.rejects(register({ retryStrategy: { attempts: 11 } }), refused(/from 1 to 10/));
  await assert.rejects(register({ retryStrategy: { evaluateOnExit: [exit] } }), refused(/needs/));
  const six = { attempts: 2, evaluateOnExit: Array.from({ length: 6 }, () => exit) };
  await assert.rejects(register({ retryStrategy: six }), refused(/at most 5/));
  const inTheMiddle = { attempts: 2, evaluateOnExit: [{ onReason: "*memory", action: "EXIT" as const }] };
  await assert.rejects(register({ retryStrategy: inTheMiddle }), refused(/not a pattern/));
  const letters = { attempts: 2, evaluateOnExit: [{ onExitCode: "SIGTERM", action: "EXIT" as const }] };
  await assert.rejects(register({ retryStrategy: letters }), refused(/not a pattern/));
  await assert.rejects(register({ timeout: { attemptDurationSeconds: 59 } }), refused(/at least 60/));
});

test("a definition has revisions; its name alone means the latest", async () => {
  const arn = await furnish(lab.client, "for-revisions");
  const { jobDefinitions = [] } = await lab.client.send(
    new DescribeJobDefinitionsCommand({ jobDefinitionName: DEFINITION }),
  );
  assert.deepEqual(
    jobDefinitions.map(({ revision }) => revision),
    jobDefinitions.map((_, i) => i + 1),
  );
  const id = await lab.submit("", { jobDefinition: DEFINITION });
  assert.equal((await lab.describe(id)).jobDefinition, arn);
});

test("queues and the compute environment are described, unknown ones left out", async () => {
  const { jobQueues } = await lab.client.send(
    new DescribeJobQueuesCommand({ jobQueues: [QUEUE, "nowhere"] }),
  );
  assert.deepEqual(
    jobQueues?.map(({ jobQueueName, state, status }) => [jobQueueName, state, status]),
    [[QUEUE, "ENABLED", "VALID"]],
  );
  const { computeEnvironments } = await lab.client.send(new DescribeComputeEnvironmentsCommand({}));
  assert.equal(computeEnvironments?.[0]?.computeResources?.maxvCpus, 0);
});
