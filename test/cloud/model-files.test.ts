import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Cloud } from "../../cloud/connect.ts";
import { modelFiles } from "../../cloud/open-format.ts";
import { Store } from "../../cloud/store.ts";
import { keys } from "../../protocol/keys.ts";
import { openBucket } from "../contract/bucket.ts";
import { openEmbedded } from "../contract/endpoint.ts";

const endpoint = await openEmbedded();
const { Bucket, s3 } = await openBucket(endpoint);
const store = new Store(s3, Bucket);
after(() => endpoint.close());

const filesOf = (job: string) => modelFiles({ store } as unknown as Cloud, job);
const put = (job: string, name: string) => store.create(`${keys.modelFiles(job)}${name}`, new Uint8Array(1));

test("a job's model files are known by their names", async () => {
  await put("plain", "config.json");
  await put("plain", "chat_template.jinja");
  assert.deepEqual([...(await filesOf("plain")).keys()], ["chat_template.jinja", "config.json"]);
});

test("an object that is no such file is refused, as a path would be made of its name", async () => {
  const names = ["../evil", "a/b", "..", "", "model.safetensors", "training_state.json", "a\\b"];
  for (const [i, name] of names.entries()) {
    await put(`hostile-${i}`, name);
    await assert.rejects(filesOf(`hostile-${i}`), /is not a file of a model; remove it/, name);
  }
});
