import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { SetQueueAttributesCommand, SQSClient } from "@aws-sdk/client-sqs";
import { program } from "../../cli/targets/paths.ts";
import { type Deployment, deploy, type Run, run } from "../support/deployment.ts";
import { waitFor } from "../support/lab.ts";
import { ministackOrReason } from "../support/ministack.ts";
import { processesOf } from "./functions-processes.ts";

/** `cdk deploy` on ministack, and jobs trained there by the deployed functions. */

const installed = await ministackOrReason();
const skip = typeof installed === "string" && installed;
const folder = mkdtempSync(join(tmpdir(), "ps-e2e-"));
let deployment: Deployment;

before(async () => {
  if (typeof installed === "string") return;
  deployment = await deploy(installed);
});

after(async () => {
  await deployment?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A small GPT on the first part of Shakespeare. */
const job = (name: string, steps = 12) => ({
  name,
  model: { type: "gpt2", layers: 2, heads: 2, width: 32, context: 32 },
  data: { type: "text", path: resolve("examples/data/tinyshakespeare.txt") },
  optimizer: { type: "adamw", learningRate: 1e-3, clipNorm: 1 },
  steps,
  ranks: 2,
  batch: 4,
  shards: 2,
  device: "cpu",
  backend: "tensorflow",
  checkpointEvery: 5,
});

function submit(spec: { readonly name: string }, ...args: readonly string[]): Promise<Run> {
  const file = join(folder, `${spec.name}.json`);
  writeFileSync(file, JSON.stringify(spec));
  return ps(file, ...args);
}

const ps = (...args: readonly string[]): Promise<Run> =>
  run(process.execPath, [program("ps-submit"), ...args], {
    env: args.includes("--stack") ? deployment.environment : {},
    cwd: folder,
  });

async function digestOf(name: string, ...args: readonly string[]): Promise<unknown> {
  const { stdout, output } = await ps("status", name, "--json", ...args);
  const status = JSON.parse(stdout) as { status: string; sha256: unknown };
  assert.equal(status.status, "succeeded", output);
  return status.sha256;
}

test("a job trained by the deployed functions has the bytes of one trained here", { skip }, async () => {
  const stack = ["--stack", deployment.name];
  const [deployed, embedded] = await Promise.all([submit(job("small"), ...stack), submit(job("small"))]);
  assert.equal(deployed.code, 0, deployed.output);
  assert.equal(embedded.code, 0, embedded.output);
  assert.equal(await digestOf("small", ...stack), await digestOf("small"));
});

const UPDATES = "UpdatesLambda";
/** Of the function, and of the queue behind it, in place of minutes. */
const TIMEOUT_SECONDS = 3;
const VISIBILITY_SECONDS = 5;

/** Lets a function that does not answer be taken for lost soon. */
async function hurry({ client, parameters, ministack }: Deployment): Promise<void> {
  const sqs = new SQSClient(client);
  const Attributes = { VisibilityTimeout: String(VISIBILITY_SECONDS) };
  await sqs.send(new SetQueueAttributesCommand({ QueueUrl: parameters["updates-url"], Attributes }));
  sqs.destroy();
  const functions = `${ministack.endpoint}/2015-03-31/functions/`;
  const headers = {
    authorization: `AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request`,
  };
  const listed = (await (await fetch(functions, { headers })).json()) as {
    Functions: { FunctionName: string }[];
  };
  const name = listed.Functions.find(({ FunctionName }) => FunctionName.includes(UPDATES))?.FunctionName;
  const body = JSON.stringify({ Timeout: TIMEOUT_SECONDS });
  const answer = await fetch(`${functions}${name}/configuration`, { method: "PUT", headers, body });
  assert.equal(answer.status, 200, await answer.text());
}

const stepOf = async (name: string): Promise<number> => {
  const { stdout } = await ps("status", name, "--json", "--stack", deployment.name);
  return Number((JSON.parse(stdout) as { step: number | null }).step ?? 0);
};

test("functions that are killed, or time out, in the middle of a step cost time and no bytes", {
  skip: skip || (process.platform !== "linux" && "finds the functions' processes in /proc"),
}, async (t) => {
  const stack = ["--stack", deployment.name];
  await hurry(deployment);
  const training = submit(job("harassed", 30), ...stack);
  const { pid } = deployment.ministack;
  const hit: number[] = [];
  const strike = async (after: number, signal: "SIGKILL" | "SIGSTOP") => {
    await waitFor(async () => ((await stepOf("harassed")) >= after ? true : null), `step ${after}`, 90_000);
    const victims = await waitFor(
      async () => {
        const found = processesOf(pid, UPDATES);
        return found.length > 0 ? found : null;
      },
      "a function at work",
      30_000,
    );
    for (const victim of victims) process.kill(victim, signal);
    hit.push(...victims);
  };
  t.after(() => {
    for (const victim of hit) {
      try {
        process.kill(victim, "SIGKILL");
      } catch {
        // It is gone.
      }
    }
  });
  await strike(3, "SIGKILL");
  await strike(8, "SIGKILL");
  await strike(14, "SIGSTOP");
  const [deployed, embedded] = await Promise.all([training, submit(job("harassed", 30))]);
  assert.equal(deployed.code, 0, deployed.output);
  assert.equal(embedded.code, 0, embedded.output);
  assert.ok(hit.length >= 3, String(hit));
  assert.match(deployment.ministack.log(), /timed out/i);
  assert.equal(await digestOf("harassed", ...stack), await digestOf("harassed"));
});
