import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Emulator, startEmulator } from "../../../local/emulator/server.ts";
import { testData } from "../../local/support.ts";
import { Playground, type Running } from "../command.ts";

/** Jobs on an S3 and SQS that someone else runs: an emulator of this process, which ps-submit knows only by its URL. */
let external: Emulator;
let folder: string;
let playground: Playground;
let straight: unknown;
let at: readonly string[];

const job = {
  model: { type: "linear", inputs: 10, outputs: 10 },
  data: { type: "linear" },
  optimizer: { type: "adamw", learningRate: 0.05 },
  ...{ steps: 60, ranks: 2, shards: 2, batch: 8 },
};

before(async () => {
  folder = testData(mkdtempSync(join(tmpdir(), "ps-external-")));
  external = await startEmulator({ dataDir: folder, port: 0, idleSeconds: 86_400 });
  at = ["--endpoint-url", external.endpoint];
  playground = new Playground({ AWS_REGION: "eu-west-1" });
  playground.write("job.json", job);
  const { code, stdout, stderr } = await playground.run("job.json", "--set", "name=straight");
  assert.equal(code, 0, stdout + stderr);
  straight = (await playground.status("straight")).sha256;
});

after(async () => {
  await playground.close();
  external.close();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

async function statusThere(name: string): Promise<Record<string, unknown>> {
  return JSON.parse((await playground.run("status", name, "--json", ...at)).stdout) as Record<
    string,
    unknown
  >;
}

/** Starts a job that is too long to end by itself while it is looked at. */
async function started(name: string, ...more: readonly string[]): Promise<Running> {
  const run = playground.start("job.json", "--set", `name=${name}`, ...more, ...at);
  await run.says(/^step \d/m);
  return run;
}

test("a job on an endpoint ends with the bytes of an embedded one, and its logs lie apart", async () => {
  const { code, stdout, stderr } = await playground.run(...at, "job.json", "--set", "name=there");
  assert.equal(code, 0, stdout + stderr);
  assert.equal((await statusThere("there")).sha256, straight);
  assert.match(stdout, /get the model with: npx ps-submit pull there DIRECTORY --endpoint-url http/);
  const port = new URL(external.endpoint).port;
  assert.ok(
    existsSync(join(playground.dataDir, "endpoints", `127.0.0.1-${port}`, "logs", "there", "functions.log")),
  );
  assert.match((await playground.run("logs", "there", "functions", ...at)).stdout, /functions started/);
  const [embedded, onEndpoint] = [await playground.run("list"), await playground.run("list", ...at)];
  assert.match(embedded.stdout, /straight/, embedded.stderr);
  assert.doesNotMatch(embedded.stdout, /there/);
  assert.match(onEndpoint.stdout, /^there +succeeded/m, onEndpoint.stderr);
});

test("AWS_ENDPOINT_URL chooses the endpoint, and the command says so", async () => {
  const other = new Playground({ AWS_ENDPOINT_URL: external.endpoint });
  const { stdout, stderr } = await other.run("status", "there");
  await other.close();
  assert.match(stdout, /there succeeded/);
  assert.equal(stderr, `on ${external.endpoint}, as AWS_ENDPOINT_URL says\n`);
});

test("a killed runner leaves the job to the next one; a second terminal watches it and changes its workers", async () => {
  const run = await started("killed", "--set", "steps=100000");
  run.child.kill("SIGKILL");
  await run.ended;
  const { status, active } = await statusThere("killed");
  assert.deepEqual({ status, active }, { status: "running", active: false });
  const again = await started("killed", "--set", "steps=100000");
  assert.match(again.stdout, /killed was interrupted at step [\d,]+ of 100,000; resuming it/);
  const second = await started("killed", "--set", "steps=100000");
  assert.match(second.stdout, /killed is running in another process; watching it/);
  const more = await playground.run("workers", "killed", "3", ...at);
  assert.equal(more.code, 0, more.stderr);
  assert.match(more.stdout, /killed has 3 workers now/);
  assert.equal(workers().length, 3);
  const fewer = await playground.run("workers", "killed", "1", ...at);
  assert.equal(fewer.code, 0, fewer.stderr);
  const cancel = await playground.run("cancel", "killed", ...at);
  assert.equal(cancel.code, 0, cancel.stderr);
  assert.deepEqual([(await again.ended).code, (await second.ended).code], [3, 3]);
  assert.deepEqual(workers(), []);
  const late = await playground.run("workers", "killed", "2", ...at);
  assert.deepEqual([late.code, late.stderr.includes("resume killed --workers 2")], [2, true]);
});

const workers = () => playground.processes().filter((line) => line.includes("worker.js"));

test("an endpoint that does not answer is named, with what to do", async () => {
  const { code, stderr } = await playground.run("list", "--endpoint-url", "http://127.0.0.1:9");
  assert.equal(code, 4);
  assert.match(stderr, /http:\/\/127\.0\.0\.1:9 does not answer .*npm run localstack/);
});
