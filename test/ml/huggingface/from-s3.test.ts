import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { readJobFile } from "../../../cli/submission/job-file.ts";
import { type PreparedJob, prepareJob } from "../../../cli/submission/prepare-job.ts";
import { ensureEmulator, openSession } from "../../../local/emulator/client.ts";
import { openBucket } from "../../contract/bucket.ts";
import { endpointAt } from "../../contract/endpoint.ts";
import { EMULATOR, temporaryFolder, testData } from "../../local/support.ts";
import { TEXT } from "../../support/models.ts";
import { writeDirectory } from "./fixture.ts";

const folder = temporaryFolder();
const emulator = await ensureEmulator(testData(join(folder.path, "s3")), EMULATOR);
const { endpoint } = emulator;
const session = await openSession(emulator);
const { Bucket, put } = await openBucket(endpointAt(endpoint, "embedded"));
const access = { AWS_ENDPOINT_URL: endpoint, AWS_ACCESS_KEY_ID: "theirs", AWS_SECRET_ACCESS_KEY: "theirs" };
after(() => {
  session.close();
  folder[Symbol.dispose]();
});

const cache = join(folder.path, "cache");
const model = join(folder.path, "model");
writeDirectory(model, "llama", { files: 2 });
writeFileSync(join(folder.path, "text.txt"), TEXT.repeat(5));
for (const name of readdirSync(model))
  await put({ Key: `models/mine/${name}`, Body: readFileSync(join(model, name)) });
await put({ Key: "models/mine/README.md", Body: "not taken along" });
await put({ Key: "models/mine/onnx/model.safetensors", Body: "of another format" });

function prepare(from: string): Promise<PreparedJob> {
  const file = join(folder.path, "tuned.json");
  const job = {
    model: { from },
    data: { type: "text", path: "text.txt" },
    steps: 1,
    batch: 2,
    backend: "wasm",
  };
  writeFileSync(file, JSON.stringify({ ...job, optimizer: { type: "sgd", learningRate: 0.1 } }));
  return prepareJob(readJobFile(file, []), { cache, environment: access });
}

const fetched = () => readdirSync(join(cache, "models")).length;

test("a model on S3 gives the job that the same directory gives, its tokenizer too, and is fetched once", async () => {
  const here = await prepare("model");
  for (const url of [`s3://${Bucket}/models/mine`, `s3://${Bucket}/models/mine/`]) {
    const there = await prepare(url);
    assert.equal(there.pretrained?.digest, here.pretrained?.digest);
    assert.equal(there.dataset?.digest, here.dataset?.digest);
    assert.equal(there.spec.model.type === "pretrained" && there.spec.model.from, url);
    assert.equal(fetched(), 1);
  }
});

test("a model that changed on S3 is fetched anew", async () => {
  const url = `s3://${Bucket}/models/mine`;
  const before = await prepare(url);
  await put({ Key: "models/mine/generation_config.json", Body: '{"temperature":0.5}' });
  const now = await prepare(url);
  assert.notEqual(now.pretrained?.digest, before.pretrained?.digest);
  assert.equal(fetched(), 2);
});

test("a model that is not there, or is none, is a problem of model.from", async () => {
  await assert.rejects(prepare(`s3://${Bucket}/none`), /tuned: model\.from: s3:.*none.* there is none/);
  await put({ Key: "texts/a.txt", Body: "x" });
  await assert.rejects(prepare(`s3://${Bucket}/texts`), /model\.from: .* must have config\.json and model/);
  mkdirSync(cache, { recursive: true });
  assert.deepEqual(readdirSync(join(cache, "drafts")), []);
});
