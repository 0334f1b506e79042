import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { type Cloud, connect } from "../cloud/connect.ts";
import { encodeJson } from "../protocol/json.ts";
import { keys } from "../protocol/keys.ts";
import { required } from "../protocol/required.ts";
import { linearJob, openLab, requireSucceeded } from "../test/support/lab.ts";
import { median, quantile, report } from "./support/report.ts";

/**
 * Measures the control plane's cost of a step: 2 ranks, 1 shard, the linear model, embedded, each part a process of its
 * own. Its limit is the sum of the round trips on the critical path, each timed alone on the same emulator.
 */

const STEPS = 400;
const WARM_UP = 100;
const ROUNDS = 200;
const SHARD_BYTES = 4096 + 3 * 400;

const timesSchema = z.object({ stepMs: z.number(), computeMs: z.number() });

const lab = await openLab();
try {
  const spec = linearJob("bench-step", {
    shards: 1,
    steps: STEPS,
    batch: 32,
    optimizer: { type: "adamw", learningRate: 0.01 },
  });
  await lab.submit(spec);
  lab.start("functions");
  for (const name of ["worker-0", "worker-1"]) lab.start("worker", { job: spec.name, name });
  const steps: number[] = [];
  const compute: number[] = [];
  const state = await lab.ended(spec.name, 120_000);
  requireSucceeded(state);
  for (let block = WARM_UP / 100; block < STEPS / 100; block++) {
    const stored = required(
      await lab.cloud.store.get(keys.history(spec.name, block)),
      `block ${block} of metrics`,
    );
    for (const line of new TextDecoder().decode(stored.body).trim().split("\n")) {
      const { stepMs, computeMs } = timesSchema.parse(JSON.parse(line));
      steps.push(stepMs);
      compute.push(computeMs);
    }
  }
  const trips = await timeTrips();
  const path = Object.values(trips).reduce((sum, { ms, times }) => sum + ms * times, 0) + median(compute);
  report("control plane, ms a step", {
    ...Object.fromEntries(Object.entries(trips).map(([name, { ms, times }]) => [`${times} x ${name}`, ms])),
    "computing the gradient": median(compute),
    "sum on the critical path": path,
    "a step, median": median(steps),
    "a step, 90th percentile": quantile(steps, 0.9),
  });
  console.log(`ratio ${(median(steps) / path).toFixed(2)} (asked: at most 2)`);
} finally {
  await lab.close();
}

/** Times the round trips that a step waits for one after the other, and says how often it makes each. */
async function timeTrips() {
  const cloud = connect(lab.target.environment);
  const { store, queues } = cloud;
  await queues.createTasks("trips", 1, 30);
  const url = required(await queues.findTasks("trips", 1), "the task queue");
  const record = encodeJson({ text: "x".repeat(2000) });
  const shard = new Uint8Array(SHARD_BYTES);
  const into = new Uint8Array(4096);
  await store.create("trips/small", record);
  await store.create("trips/shard", shard);
  let i = 0;
  // The two pieces of a step are in one FIFO group: the first is stored and its message deleted before the second is
  // received.
  const messages = await timeMessages(cloud, url);
  const trips = {
    "message sent and received (tasks, piece, wake)": { times: 3, ms: messages.sent },
    "object read (parameters, state 3x, header)": {
      times: 5,
      ms: await time(() => store.getInto("trips/shard", 0, into)),
    },
    "object created (piece, shard, manifest)": {
      times: 3,
      ms: await time(() => store.create(`trips/${i++}`, shard)),
    },
    "listing (pieces)": { times: 1, ms: await time(() => store.list("trips/s")) },
    "message deleted (first piece)": { times: 1, ms: messages.deleted },
  };
  cloud.close();
  return trips;
}

/** Times a message from its sending to its arrival at a receiver that waits, and its deletion. */
async function timeMessages({ queues }: Cloud, url: string): Promise<{ sent: number; deleted: number }> {
  const sent: number[] = [];
  const deleted: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const waiting = queues.receive(url, new AbortController().signal);
    await sleep(2);
    const start = performance.now();
    await queues.sendTasks(url, [{ kind: "init", job: "trips", dispatch: "1" }]);
    const received = await waiting;
    const arrived = performance.now();
    sent.push(arrived - start);
    if (received && received !== "gone") await queues.acknowledge(url, received.receipt);
    deleted.push(performance.now() - arrived);
  }
  return { sent: median(sent), deleted: median(deleted) };
}

async function time(trip: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const start = performance.now();
    await trip();
    times.push(performance.now() - start);
  }
  return median(times);
}
