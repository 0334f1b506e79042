import assert from "node:assert/strict";
import { after, test } from "node:test";
import { describeUpload } from "../../../cli/terminal/upload-line.ts";
import { ensureEmulator, openSession } from "../../../local/emulator/client.ts";
import { EMULATOR, temporaryFolder, until } from "../../local/support.ts";
import { countingProxy } from "../../support/counting-proxy.ts";
import { Playground, tinyJob } from "../command.ts";

const folder = temporaryFolder();
const emulator = await ensureEmulator(folder.path, EMULATOR);
const session = await openSession(emulator);
const proxy = await countingProxy(emulator.endpoint);
const playground = new Playground();
after(async () => {
  await playground.close();
  await proxy.close();
  session.close();
  folder[Symbol.dispose]();
});

// 22 MB of tokens: three parts of 8 MiB, the last one shorter.
const text = "The quick brown fox jumps over the lazy dog.\n".repeat(245_000);

test("a submission that was killed in the middle of its upload sends only the rest the next time", async () => {
  playground.write("text.txt", text);
  playground.write("big.json", {
    ...tinyJob,
    name: "big",
    tokenizer: "byte",
    device: "cpu",
    backend: "wasm",
  });
  const submit = () => playground.start("big.json", "--endpoint-url", proxy.endpoint);
  proxy.allow(2);
  const first = submit();
  await until("two parts are stored", () => proxy.parts.length === 2, 60_000);
  first.child.kill("SIGKILL");
  await first.ended;
  assert.equal(proxy.completed(), 0);
  proxy.allow(100);
  const second = submit();
  await until("the upload is complete", () => proxy.completed() === 1, 60_000);
  assert.deepEqual(proxy.parts.toSorted(), [1, 2, 3]);
  second.child.kill("SIGKILL");
  await second.ended;
});

test("the line of an upload tells its share, its speed and the time left; what was there already is not speed", () => {
  const state = { done: 200e6, total: 498e6, sent: 100e6, ms: 10_000 };
  assert.equal(describeUpload(state), "uploading 40 % of 498 MB, 10.0 MB/s, 30s left");
  assert.equal(describeUpload({ ...state, sent: 0 }), "uploading 40 % of 498 MB");
});
