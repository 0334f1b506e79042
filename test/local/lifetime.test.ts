import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { createServer, IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
} from "@aws-sdk/client-sqs";
import { findEmulator } from "../../local/emulator/address.ts";
import { ensureEmulator, HoldTakenError, hold, holds } from "../../local/emulator/client.ts";
import { Holds } from "../../local/emulator/holds.ts";
import { clientsOf, EMULATOR, hasEnded, pidOf, temporaryFolder, until } from "./support.ts";

// Those that nobody holds end soon; what must not is held.
process.env.PS_IDLE_SECONDS = "1";

/** A held emulator that is killed at the end of the test. */
async function startHeld(dataDir: string) {
  const { endpoint } = await ensureEmulator(dataDir, EMULATOR);
  const claim = await hold(endpoint);
  const pid = await pidOf(endpoint);
  const end = async (signal: NodeJS.Signals) => {
    process.kill(pid, signal);
    await until("the emulator ends", () => hasEnded(pid));
  };
  return { endpoint, pid, claim, end, ...clientsOf(endpoint) };
}

test("after a kill it starts again on the same port with the same data", async () => {
  using folder = temporaryFolder();
  const first = await startHeld(folder.path);
  await first.s3.send(new CreateBucketCommand({ Bucket: "kept" }));
  const input = {
    QueueName: "kept.fifo",
    Attributes: { FifoQueue: "true", DeduplicationScope: "messageGroup" },
  };
  const { QueueUrl } = await first.sqs.send(new CreateQueueCommand(input));
  const once = { QueueUrl, MessageBody: "x", MessageGroupId: "g", MessageDeduplicationId: "same" };
  const { MessageId } = await first.sqs.send(new SendMessageCommand(once));
  for (const [Key, size] of [
    ["small", 10],
    ["big", 1_000_000],
  ] as const)
    await first.s3.send(new PutObjectCommand({ Bucket: "kept", Key, Body: Buffer.alloc(size, 7) }));
  await first.end("SIGKILL");

  const second = await startHeld(folder.path);
  assert.equal(second.endpoint, first.endpoint);
  for (const [Key, size] of [
    ["small", 10],
    ["big", 1_000_000],
  ] as const) {
    const { Body } = await first.s3.send(new GetObjectCommand({ Bucket: "kept", Key }));
    assert.ok(Buffer.alloc(size, 7).equals((await Body?.transformToByteArray()) ?? Buffer.of()));
  }
  const again = await first.sqs.send(new SendMessageCommand(once));
  assert.equal(again.MessageId, MessageId, "the deduplication id is remembered");
  const received = await first.sqs.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10 }));
  assert.deepEqual(
    received.Messages?.map((message) => message.MessageId),
    [MessageId],
  );
  await second.end("SIGKILL");
});

test("a lease outlives a restart: its message stays invisible, and its handle stays good", async () => {
  using folder = temporaryFolder();
  const first = await startHeld(folder.path);
  const { QueueUrl } = await first.sqs.send(new CreateQueueCommand({ QueueName: "tasks" }));
  await first.sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: "x" }));
  const receive = () => first.sqs.send(new ReceiveMessageCommand({ QueueUrl }));
  const { Messages = [] } = await receive();
  await first.end("SIGKILL");
  const second = await startHeld(folder.path);
  assert.equal((await receive()).Messages, undefined);
  await first.sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: Messages[0]?.ReceiptHandle }));
  await second.end("SIGKILL");
});

test("of processes that start one at once all get the same, and a second one leaves at once", async () => {
  using folder = temporaryFolder();
  const started = await Promise.all([1, 2, 3].map(() => ensureEmulator(folder.path, EMULATOR)));
  const [first] = started;
  assert.ok(first);
  assert.deepEqual(started, [first, first, first]);
  await hold(first.endpoint);
  const env = { ...process.env, PS_DATA_DIR: folder.path };
  const second = spawn(process.execPath, [EMULATOR], { env, stdio: ["ignore", "pipe", "inherit"] });
  const output = (await second.stdout.toArray()).join("");
  assert.match(output, new RegExp(`running on .* already: ${first.endpoint}`));
  if (second.exitCode === null) await once(second, "exit");
  assert.equal(second.exitCode, 0);
  process.kill(await pidOf(first.endpoint), "SIGKILL");
});

test("a name is held by one process, and free again when that process is killed", async (t) => {
  using folder = temporaryFolder();
  const { endpoint, claim, end } = await startHeld(folder.path);
  const client = fileURLToPath(new URL("../../local/emulator/client.ts", import.meta.url));
  const script = `const { hold } = await import(${JSON.stringify(client)});
    await hold(${JSON.stringify(endpoint)}, "job/a"); setInterval(() => {}, 1000);`;
  const holder = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: "inherit" });
  t.after(() => holder.kill("SIGKILL"));
  await until("the process holds the name", async () => (await holds(endpoint)).includes("job/a"));
  await assert.rejects(hold(endpoint, "job/a"), HoldTakenError);
  const other = await hold(endpoint, "job/b");
  assert.deepEqual((await holds(endpoint)).toSorted(), ["job/a", "job/b"]);
  holder.kill("SIGKILL");
  await until("the name is free", async () => !(await holds(endpoint)).includes("job/a"));
  const mine = await hold(endpoint, "job/a");
  mine.release();
  other.release();
  await until("both are released", async () => (await holds(endpoint)).length === 0);
  claim.release();
  await end("SIGTERM");
});

test("a hold says when the emulator is lost, and not when it is released", async () => {
  using folder = temporaryFolder();
  const { endpoint, claim, end } = await startHeld(folder.path);
  const released = await hold(endpoint);
  let lost = 0;
  void released.lost.then(() => lost++);
  released.release();
  await end("SIGKILL");
  await claim.lost;
  assert.equal(lost, 0);
});

test("it ends by itself when nobody holds it any more", async () => {
  using folder = temporaryFolder();
  const { claim, pid } = await startHeld(folder.path);
  claim.release();
  await until("the emulator ends", () => hasEnded(pid));
  assert.equal(await findEmulator(folder.path), undefined);
  const { endpoint } = await ensureEmulator(folder.path, EMULATOR);
  const unheld = await pidOf(endpoint);
  await until("one that was never held ends too", () => hasEnded(unheld));
});

test("the grace time runs only while nothing is held, and starts again at every sign of life", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const idle = t.mock.fn();
  const names = new Holds(5000, idle);
  const connection = () => new ServerResponse(new IncomingMessage(new Socket()));
  const first = connection();
  t.mock.timers.tick(4999);
  assert.equal(names.open(first, "a"), true);
  assert.equal(names.open(connection(), "a"), false);
  t.mock.timers.tick(1_000_000);
  first.emit("close");
  t.mock.timers.tick(4999);
  names.renew();
  t.mock.timers.tick(4999);
  assert.equal(idle.mock.callCount(), 0);
  t.mock.timers.tick(1);
  assert.equal(idle.mock.callCount(), 1);
});

test("SIGTERM ends it at once, also while somebody waits for a message", async () => {
  using folder = temporaryFolder();
  const { sqs, endpoint, end } = await startHeld(folder.path);
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: "waiting" }));
  const poll = assert.rejects(sqs.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 20 })));
  await holds(endpoint);
  const start = Date.now();
  await end("SIGTERM");
  await poll;
  assert.ok(Date.now() - start < 2000);
});

test("another program on its port is not taken for it, and it takes another port", async () => {
  using folder = temporaryFolder();
  const first = await startHeld(folder.path);
  await first.end("SIGTERM");
  const stranger = createServer((_, response) => response.end('{"pid":1,"dataDir":"/elsewhere"}'));
  await once(stranger.listen(Number(new URL(first.endpoint).port), "127.0.0.1"), "listening");
  assert.equal(await findEmulator(folder.path), undefined);
  const second = await startHeld(folder.path);
  assert.notEqual(second.endpoint, first.endpoint);
  await second.end("SIGTERM");
  stranger.close();
});

test("a start that fails says why", async () => {
  using folder = temporaryFolder();
  const entry = join(folder.path, "none.js");
  await assert.rejects(ensureEmulator(folder.path, entry), /ended with exit status 1.*Cannot find module/s);
});

test("only its user can read its data", async () => {
  using folder = temporaryFolder();
  const dataDir = join(folder.path, "data");
  const { end } = await startHeld(dataDir);
  for (const path of [dataDir, join(dataDir, "emulator.sqlite"), join(dataDir, "bodies")])
    assert.equal(statSync(path).mode & 0o077, 0, path);
  await end("SIGTERM");
});
