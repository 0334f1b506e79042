import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { aggregate } from "../../functions/aggregator/aggregate.ts";
import { MemoryGate } from "../../functions/aggregator/memory-gate.ts";
import { createServer } from "../../functions/server.ts";
import { keys } from "../../protocol/keys.ts";
import type { Layout } from "../../protocol/layout.ts";
import type { PieceName } from "../../protocol/piece.ts";
import { blankShard, openShard, readShardHeader, sealShard } from "../../protocol/shard.ts";
import { aggregationBytes } from "../../protocol/shard-count.ts";
import { begunJob, messageOf, pieceFile, reportOf } from "../support/begun-job.ts";
import { type Lab, openLab } from "../support/lab.ts";
import { withVerb } from "../support/with-verb.ts";

/** The aggregator of shard 0 of jobs with 100 parameters in one shard, called message by message. */

const LENGTH = 100;
let lab: Lab;
before(async () => {
  lab = await openLab();
});
after(() => lab.close());

const begin = (job: string, ranks = 2, changes = {}) => begunJob(lab, job, { shards: 1, ranks, ...changes });
const named = (job: string, rank = 0, step = 0): PieceName => ({ job, step, shard: 0, rank });
const message = (name: PieceName, value = 0, worker?: string) =>
  messageOf(name, pieceFile(name, LENGTH, value, worker));

async function stored(key: string): Promise<Uint8Array> {
  const object = await lab.cloud.store.get(key);
  assert.ok(object, `${key} is there`);
  return object.body;
}

async function layoutOf(job: string): Promise<Layout> {
  const layout = await lab.cloud.jobs.layout(job);
  assert.ok(layout);
  return layout;
}

const gradients = (job: string) => lab.cloud.store.list(keys.gradients(job));

/** The values that occur in the shard of a version. */
async function values(job: string, version: number): Promise<number[]> {
  const file = await stored(keys.shard(job, version, 0));
  return [...new Set(openShard(await layoutOf(job), 0, version, [], file).parameters)];
}

async function workersOf(job: string, version: number): Promise<string[]> {
  const layout = await layoutOf(job);
  const file = await stored(keys.shard(job, version, 0));
  return readShardHeader(layout, 0, version, file.subarray(0, layout.headerBytes)).origin.map(
    ({ worker }) => worker,
  );
}

test("a piece that rode in its message is in S3 before the message may be deleted", async () => {
  await begin("stored");
  await aggregate(createServer(lab.cloud), [message(named("stored"), 1)]);
  const piece = await stored(keys.gradient("stored", 0, 0, 0));
  assert.deepEqual(Buffer.from(piece), Buffer.from(pieceFile(named("stored"), LENGTH, 1)));
  // Another container, which has the other message only.
  await aggregate(createServer(lab.cloud), [message(named("stored", 1), 3)]);
  assert.deepEqual(await values("stored", 1), [-2]);
});

test("pieces are summed in the order of their ranks, in whatever order they come", async () => {
  await begin("ordered", 3);
  const server = createServer(lab.cloud);
  for (const rank of [2, 0, 1]) {
    await aggregate(server, [message(named("ordered", rank), 0, `worker of rank ${rank}`)]);
  }
  const workers = ["worker of rank 0", "worker of rank 1", "worker of rank 2"];
  assert.deepEqual(await workersOf("ordered", 1), workers);
});

for (const [reduce, result] of [
  ["mean", -2],
  ["sum", -4],
] as const) {
  test(`with reduce "${reduce}" a step goes down the ${reduce} of the ranks' gradients`, async () => {
    await begin(reduce, 2, { reduce });
    const messages = [message(named(reduce), 1), message(named(reduce, 1), 3)];
    await aggregate(createServer(lab.cloud), messages);
    assert.deepEqual(await values(reduce, 1), [result]);
  });
}

const piece = (name: PieceName, length: number, value: number) => [
  messageOf(name, pieceFile(name, length, value)),
];
for (const [job, messages, says] of [
  ["short", piece(named("short"), 99, 0), /the gradient of shard 0 must have 100 elements, got 99/],
  ["not-finite", piece(named("not-finite"), LENGTH, Number.NaN), /the gradient of w is not finite \(NaN\)/],
  ["overflowing", piece(named("overflowing"), LENGTH, 3e38), /the update of w is not finite \(-Infinity\)/],
] as const) {
  test(`a gradient that is ${job.replace("-", " ")} makes no version`, async () => {
    await begin(job, 1, { optimizer: { type: "sgd", learningRate: 2 } });
    await assert.rejects(aggregate(createServer(lab.cloud), messages), says);
    assert.equal(await lab.cloud.store.find(keys.shard(job, 1, 0)), null);
  });
}

test("of two pieces of one rank, the one that is stored counts", async () => {
  await begin("twice");
  const server = createServer(lab.cloud);
  await lab.cloud.store.create(
    keys.gradient("twice", 0, 0, 0),
    pieceFile(named("twice"), LENGTH, 0, "the first"),
  );
  await aggregate(server, [message(named("twice"), 0, "the second")]);
  await aggregate(server, [message(named("twice", 1), 0, "another")]);
  assert.deepEqual(await workersOf("twice", 1), ["the first", "another"]);
});

test("a step begins with the shard that is stored, though this container made one too", async () => {
  const job = "overtaken";
  await begin(job, 1);
  const server = createServer(lab.cloud);
  await aggregate(server, [message(named(job))]);
  const layout = await layoutOf(job);
  const shard = blankShard(layout, 0, 2, []);
  shard.parameters.fill(7);
  const origin = [{ digest: "0".repeat(64), ...reportOf("another container") }];
  await lab.cloud.store.create(keys.shard(job, 2, 0), sealShard(layout, shard, [], origin, 0));
  await aggregate(server, [message(named(job, 0, 1))]);
  await lab.cloud.jobs.change(job, (state) => ({ ...state, version: 2 }));
  await aggregate(server, [message(named(job, 0, 2))]);
  assert.deepEqual(await values(job, 3), [7]);
});

test("a message of a job that has ended makes nothing", async () => {
  await begin("ended", 1);
  await lab.cloud.jobs.end("ended", "stopped", "by a test");
  await aggregate(createServer(lab.cloud), [message(named("ended"))]);
  assert.equal(await lab.cloud.store.find(keys.shard("ended", 1, 0)), null);
});

test("a message of a step that committed long ago makes nothing", async () => {
  const job = "late";
  await begin(job, 2);
  await lab.cloud.jobs.change(job, (state) => ({ ...state, version: 5 }));
  await aggregate(createServer(lab.cloud), [message(named(job, 0, 3))]);
  assert.deepEqual(await gradients(job), []);
  assert.equal(await lab.cloud.store.find(keys.shard(job, 4, 0)), null);
});

test("a shard is made inside the memory gate, with the bytes that it takes", async () => {
  const job = "gated";
  const { ranks, optimizer } = await begin(job, 1);
  const events: string[] = [];
  const { store } = lab.cloud;
  const cloud = {
    ...lab.cloud,
    store: withVerb(store, "create", (key, body) => {
      events.push(key);
      return store.create(key, body);
    }),
  };
  class Watched extends MemoryGate {
    override async pass<T>(bytes: number, work: () => Promise<T>): Promise<T> {
      events.push(`enter with ${bytes} bytes`);
      const result = await super.pass(bytes, work);
      events.push("leave");
      return result;
    }
  }
  await aggregate({ ...createServer(cloud), memory: new Watched(1) }, [message(named(job))]);
  const bytes = aggregationBytes(LENGTH, ranks, optimizer);
  assert.deepEqual(events, [`enter with ${bytes} bytes`, keys.shard(job, 1, 0), "leave"]);
});
