import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type LogQuery, StackLogs } from "../../../cli/targets/stack-logs.ts";
import { startFakeServices } from "../fake-services.ts";

const folder = mkdtempSync(join(tmpdir(), "ps-logs-"));
for (const stream of ["a", "b"]) writeFileSync(join(folder, stream), `one of ${stream}\ntwo of ${stream}\n`);
const services = await startFakeServices({ "/workers": folder });
const logs = new StackLogs({
  AWS_REGION: "us-east-1",
  AWS_ACCESS_KEY_ID: "local",
  AWS_SECRET_ACCESS_KEY: "local",
  AWS_ENDPOINT_URL: services.endpoint,
});
after(() => {
  logs.close();
  services.close();
  rmSync(folder, { recursive: true });
});

async function textsOf(query: Omit<LogQuery, "since">): Promise<string[]> {
  const texts: string[] = [];
  for await (const { text } of logs.lines({ ...query, since: 0 })) texts.push(text);
  return texts;
}

test("a worker that has not written yet hides no other's lines", async () => {
  const streams = ["a", "not-yet", "b"];
  assert.deepEqual(await textsOf({ group: "/workers", streams }), [
    ...["one of a", "two of a", "one of b", "two of b"],
  ]);
});

test("a group and a stream that are not there yet are empty", async () => {
  assert.deepEqual(await textsOf({ group: "/none" }), []);
  assert.deepEqual(await textsOf({ group: "/workers", streams: ["not-yet"] }), []);
  assert.deepEqual(await logs.tail("/workers", "not-yet"), []);
});
