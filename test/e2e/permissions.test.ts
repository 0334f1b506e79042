import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import {
  GetRolePolicyCommand,
  IAMClient,
  ListRolePoliciesCommand,
  ListRolesCommand,
  PutRolePolicyCommand,
} from "@aws-sdk/client-iam";
import {
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { ListQueuesCommand, SQSClient } from "@aws-sdk/client-sqs";
import { program } from "../../cli/targets/paths.ts";
import { startFakeServices } from "../cli/fake-services.ts";
import { type Deployment, deploy, type Run, run } from "../support/deployment.ts";
import { waitFor } from "../support/lab.ts";
import { ministackOrReason } from "../support/ministack.ts";
import {
  allowDeviations,
  createSubmitter,
  createUser,
  createUserWith,
  type Keys,
  submitterActions,
  workerPolicy,
} from "./permissions.ts";

/** The deployed stack while every call is checked against IAM: submitter, functions and workers have what they need. */

const installed = await ministackOrReason();
const skip = typeof installed === "string" && installed;
const folder = mkdtempSync(join(tmpdir(), "ps-iam-"));
let deployment: Deployment;
let submitter: Keys;
let iam: IAMClient;

before(async () => {
  if (typeof installed === "string") return;
  deployment = await deploy(installed, {
    auth: true,
    async workerEnvironment(deployed) {
      iam = new IAMClient(deployed.client);
      await allowDeviations(iam, deployed);
      return createUser(iam, "worker", workerPolicy(deployed));
    },
  });
  submitter = await createSubmitter(iam);
});

after(async () => {
  iam?.destroy();
  await deployment?.close();
  rmSync(folder, { recursive: true, force: true });
});

const job = (name: string) => ({
  name,
  model: { type: "gpt2", layers: 1, heads: 2, width: 16, context: 16 },
  data: { type: "text", path: resolve("examples/data/tinyshakespeare.txt") },
  optimizer: { type: "adamw", learningRate: 1e-3 },
  steps: 6,
  ranks: 2,
  batch: 2,
  shards: 2,
  device: "cpu",
  backend: "tensorflow",
  evaluateEvery: 3,
  evaluateBatches: 1,
  checkpointEvery: 3,
});

const psAs = (keys: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Run> =>
  run(process.execPath, [program("ps-submit"), ...args, "--stack", deployment.name], {
    env: { ...deployment.environment, ...keys },
    cwd: folder,
  });

const ps = (...args: readonly string[]): Promise<Run> => psAs(submitter, ...args);

function submit(spec: { readonly name: string }, ...args: readonly string[]): Promise<Run> {
  const file = join(folder, `${spec.name}.json`);
  writeFileSync(file, JSON.stringify(spec));
  return ps(file, ...args);
}

test("submitter, functions and workers may do what a job takes", { skip }, async () => {
  const { code, output } = await submit(job("allowed"));
  assert.equal(code, 0, output);
  const pulled = await ps("pull", "allowed", "model");
  assert.equal(pulled.code, 0, pulled.output);
  const log = deployment.ministack.log();
  assert.doesNotMatch(log, /is not authorized to perform/);
});

test("who submits may not write a version", { skip }, async () => {
  const s3 = new S3Client({
    ...deployment.client,
    forcePathStyle: true,
    credentials: {
      accessKeyId: submitter.AWS_ACCESS_KEY_ID,
      secretAccessKey: submitter.AWS_SECRET_ACCESS_KEY,
    },
  });
  const Key = "jobs/allowed/versions/000000007/shard-0.safetensors";
  const forged = new PutObjectCommand({ Bucket: deployment.parameters.bucket, Key, Body: "forged" });
  await assert.rejects(s3.send(forged), { name: /AccessDenied/ });
  s3.destroy();
});

test("doctor misses nothing that the submitter has, and exactly what another lacks; it leaves nothing behind", {
  skip,
}, async (t) => {
  // ministack has no Service Quotas.
  const services = await startFakeServices({});
  t.after(() => services.close());
  const doctor = (keys: Keys) =>
    psAs({ ...keys, AWS_ENDPOINT_URL_SERVICE_QUOTAS: services.endpoint }, "doctor");
  const before = await everything();
  const healthy = await doctor(submitter);
  assert.equal(healthy.code, 0, healthy.output);
  assert.match(healthy.output, /^ok +permissions +(\d+) of \1 that submitting takes$/m);
  const woken = /job failed.*there is no job named .*doctor-/;
  const look = async () => woken.test(deployment.ministack.log()) || null;
  await waitFor(look, "the coordinator of no job to say so", 60_000);
  const two = ["s3:DeleteObject", "sqs:CreateQueue"];
  const lacking = await doctor(await createUserWith(iam, "lacking", (action) => !two.includes(action)));
  assert.equal(lacking.code, 1, lacking.output);
  assert.deepEqual(missingIn(lacking), two, lacking.output);
  assert.match(
    lacking.output,
    /s3:DeleteObject is missing on jobs\/\*\/job\.json, active\/\*\/1, gradients\/\*\//,
  );
  assert.deepEqual(await everything(), before);
  // Without this one, nobody finds the stack.
  const poor = await doctor(await createUserWith(iam, "poor", (action) => action.startsWith("ssm:")));
  const checked = (await submitterActions(iam)).filter((action) => /^(s3|sqs|logs):/.test(action));
  assert.deepEqual(missingIn(poor).sort(), checked.sort(), poor.output);
});

const missingIn = ({ output }: Run): (string | undefined)[] =>
  [...output.matchAll(/^bad +permission +(\S+) is missing on /gm)].map(([, action]) => action);

/** All objects and queues of the stack. */
async function everything() {
  const [s3, sqs] = [
    new S3Client({ ...deployment.client, forcePathStyle: true }),
    new SQSClient(deployment.client),
  ];
  const Bucket = deployment.parameters.bucket;
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket }));
  const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand({ Bucket }));
  const { QueueUrls = [] } = await sqs.send(new ListQueuesCommand({}));
  s3.destroy();
  sqs.destroy();
  return { keys: Contents.map(({ Key }) => Key), uploads: Uploads.length, queues: QueueUrls.sort() };
}

test("a permission that is taken away is missed", { skip }, async () => {
  await forbidManifests();
  const { code, output } = await submit(job("forbidden"), "--detach");
  assert.equal(code, 0, output);
  const denial = /"forbidden\/coordinator".*is not authorized to perform: s3:PutObject/;
  const look = async () => (denial.test(deployment.ministack.log()) ? true : null);
  await waitFor(look, "the coordinator to be refused", 60_000);
  const cancelled = await ps("cancel", "forbidden");
  assert.equal(cancelled.code, 0, cancelled.output);
});

/** Takes from the role of the `updates` function the permission to write below `versions/`. */
async function forbidManifests(): Promise<void> {
  const { Roles = [] } = await iam.send(new ListRolesCommand({ MaxItems: 1000 }));
  const RoleName = Roles.find((role) => role.RoleName?.includes("FunctionsUpdatesRole"))?.RoleName;
  const { PolicyNames = [] } = await iam.send(new ListRolePoliciesCommand({ RoleName }));
  for (const PolicyName of PolicyNames) {
    const stored = await iam.send(new GetRolePolicyCommand({ RoleName, PolicyName }));
    const PolicyDocument = decodeURIComponent(stored.PolicyDocument ?? "").replaceAll(
      "/versions/",
      "/nothing/",
    );
    await iam.send(new PutRolePolicyCommand({ RoleName, PolicyName, PolicyDocument }));
  }
}
