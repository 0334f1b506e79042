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
import { claim, claims, ensureEmulator, openSession } from "../../local/emulator/client.ts";
import { Sessions } from "../../local/emulator/sessions.ts";
import { clientsOf, EMULATOR, hasEnded, pidOf, temporaryFolder, until } from "./support.ts";

// An emulator without a session ends soon.
process.env.PS_IDLE_SECONDS = "1";

/** An emulator that this process has a session of. */
async function startWithSession(dataDir: string) {
  const emulator = await ensureEmulator(dataDir, EMULATOR);
  const { endpoint } = emulator;
  const session = await openSession(emulator);
  const pid = await pidOf(endpoint, emulator.key);
  const end = async (signal: NodeJS.Signals) => {
    process.kill(pid, signal);
    await until("the emulator ends", () => hasEnded(pid));
  };
  return { emulator, endpoint, pid, session, end, ...clientsOf(endpoint) };
}

test("after a kill it starts again on the same port with the same data", async () => {
  using folder = temporaryFolder();
  const first = await startWithSession(folder.path);
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

  const second = await startWithSession(folder.path);
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
  const first = await startWithSession(folder.path);
  const { QueueUrl } = await first.sqs.send(new CreateQueueCommand({ QueueName: "tasks" }));
  await first.sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: "x" }));
  const receive = () => first.sqs.send(new ReceiveMessageCommand({ QueueUrl }));
  const { Messages = [] } = await receive();
  await first.end("SIGKILL");
  const second = await startWithSession(folder.path);
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
  await openSession(first);
  const env = { ...process.env, PS_DATA_DIR: folder.path };
  const second = spawn(process.execPath, [EMULATOR], { env, stdio: ["ignore", "pipe", "inherit"] });
  const output = (await second.stdout.toArray()).join("");
  assert.match(output, new RegExp(`running on .* already: ${first.endpoint}`));
  if (second.exitCode === null) await once(second, "exit");
  assert.equal(second.exitCode, 0);
  process.kill(await pidOf(first.endpoint), "SIGKILL");
});

test("a job is claimed by one process, and free again when that process is killed", async (t) => {
  using folder = temporaryFolder();
  const { emulator, session, end } = await startWithSession(folder.path);
  const client = fileURLToPath(new URL("../../local/emulator/client.ts", import.meta.url));
  const script = `const { claim } = await import(${JSON.stringify(client)});
    await claim(${JSON.stringify(emulator)}, "job/a"); setInterval(() => {}, 1000);`;
  const claimant = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: "inherit" });
  t.after(() => claimant.kill("SIGKILL"));
  await until("the process claims the job", async () => (await claims(emulator)).includes("job/a"));
  assert.equal(await claim(emulator, "job/a"), null);
  const other = await claim(emulator, "job/b");
  assert.deepEqual((await claims(emulator)).toSorted(), ["job/a", "job/b"]);
  claimant.kill("SIGKILL");
  await until("the job is free", async () => !(await claims(emulator)).includes("job/a"));
  const mine = await claim(emulator, "job/a");
  assert.ok(mine && other);
  mine.release();
  other.release();
  await until("both are released", async () => (await claims(emulator)).length === 0);
  session.close();
  await end("SIGTERM");
});

test("a session says when the emulator is lost, and not when it is closed", async () => {
  using folder = temporaryFolder();
  const { emulator, session, end } = await startWithSession(folder.path);
  const closed = await openSession(emulator);
  let lost = 0;
  void closed.lost.then(() => lost++);
  closed.close();
  await end("SIGKILL");
  await session.lost;
  assert.equal(lost, 0);
});

test("a proxy of the environment is not used for it, by its client or the SDK's", async () => {
  using folder = temporaryFolder();
  const module = (path: string) => JSON.stringify(new URL(`../../${path}`, import.meta.url));
  const script = `
    const { claim, claims, ensureEmulator } = await import(${module("local/emulator/client.ts")});
    const { clientsOf } = await import(${module("test/local/support.ts")});
    const { ListQueuesCommand } = await import("@aws-sdk/client-sqs");
    const emulator = await ensureEmulator(${JSON.stringify(folder.path)}, ${JSON.stringify(EMULATOR)});
    await claim(emulator, "job/a");
    await clientsOf(emulator.endpoint).sqs.send(new ListQueuesCommand({}));
    console.log(await claims(emulator));
    process.exit();`;
  const proxy = "http://127.0.0.1:9";
  const env = { ...process.env, NODE_USE_ENV_PROXY: "1", HTTP_PROXY: proxy, http_proxy: proxy };
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  assert.equal((await child.stdout.toArray()).join(""), "[ 'job/a' ]\n");
});

test("it ends by itself when no session is open any more", async () => {
  using folder = temporaryFolder();
  const { session, pid } = await startWithSession(folder.path);
  session.close();
  await until("the emulator ends", () => hasEnded(pid));
  assert.equal(await findEmulator(folder.path), null);
  const { endpoint } = await ensureEmulator(folder.path, EMULATOR);
  const unused = await pidOf(endpoint);
  await until("one that never had a session ends too", () => hasEnded(unused));
});

test("the grace time runs only while no session is open, and starts again at every sign of life", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const idle = t.mock.fn();
  const sessions = new Sessions(5000, idle);
  const connection = () => new ServerResponse(new IncomingMessage(new Socket()));
  const first = connection();
  t.mock.timers.tick(4999);
  assert.equal(sessions.open(first, "a"), true);
  assert.equal(sessions.open(connection(), "a"), false);
  t.mock.timers.tick(1_000_000);
  first.emit("close");
  t.mock.timers.tick(4999);
  sessions.restartGrace();
  t.mock.timers.tick(4999);
  assert.equal(idle.mock.callCount(), 0);
  t.mock.timers.tick(1);
  assert.equal(idle.mock.callCount(), 1);
});

test("SIGTERM ends it at once, also while somebody waits for a message", async () => {
  using folder = temporaryFolder();
  const { sqs, emulator, end } = await startWithSession(folder.path);
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: "waiting" }));
  const poll = assert.rejects(sqs.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 20 })));
  await claims(emulator);
  const start = Date.now();
  await end("SIGTERM");
  await poll;
  assert.ok(Date.now() - start < 2000);
});

test("another program on its port is not taken for it, and it takes another port", async () => {
  using folder = temporaryFolder();
  const first = await startWithSession(folder.path);
  await first.end("SIGTERM");
  const stranger = createServer((_, response) => response.end('{"pid":1,"dataDir":"/elsewhere"}'));
  await once(stranger.listen(Number(new URL(first.endpoint).port), "127.0.0.1"), "listening");
  assert.equal(await findEmulator(folder.path), null);
  const second = await startWithSession(folder.path);
  assert.notEqual(second.endpoint, first.endpoint);
  await second.end("SIGTERM");
  stranger.close();
});

test("a start that fails says why", async () => {
  using folder = temporaryFolder();
  const entry = join(folder.path, "none.js");
  await assert.rejects(ensureEmulator(folder.path, entry), /ended with exit status 1.*Cannot find module/s);
});

test("a data folder that cannot be made is an error at once, with the variable that names it", {
  skip: process.platform !== "linux" && "there is no /proc",
}, async () => {
  await assert.rejects(
    ensureEmulator("/proc/x", EMULATOR),
    /\/proc\/x\S* cannot be made .*ENOENT.*PS_DATA_DIR/,
  );
});

test("only its user can read its data", async () => {
  using folder = temporaryFolder();
  const dataDir = join(folder.path, "data");
  const { end } = await startWithSession(dataDir);
  for (const path of [dataDir, join(dataDir, "emulator.sqlite"), join(dataDir, "bodies")])
    assert.equal(statSync(path).mode & 0o077, 0, path);
  await end("SIGTERM");
});
