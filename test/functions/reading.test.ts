import assert from "node:assert/strict";
import { subscribe } from "node:diagnostics_channel";
import type { ClientRequest } from "node:http";
import { test } from "node:test";
import { openInProcess } from "../support/in-process.ts";
import { linearJob } from "../support/lab.ts";

const RANKS = 4;
const STEPS = 3;

test("a stored piece is read once, though its step's messages come again after the commit", async () => {
  const read: string[] = [];
  subscribe("http.client.request.start", (message) => {
    const { request } = message as { request: ClientRequest };
    if (request.method === "GET" && request.path.includes("/gradients/")) read.push(request.path);
  });
  // Everything is delivered twice: the second time the shard's next version is there.
  const lab = await openInProcess((handler) => async (event) => {
    await handler(event);
    return handler(event);
  });
  try {
    const spec = linearJob("reading", {
      // 360 KB: too large to ride in a message.
      model: { type: "linear", inputs: 300, outputs: 300 },
      data: { type: "linear", examples: 16 },
      ranks: RANKS,
      shards: 1,
      steps: STEPS,
      batch: 1,
    });
    const state = await lab.run(spec, 60_000);
    assert.equal(state.status, "succeeded", state.reason ?? "");
    assert.equal(new Set(read).size, RANKS * STEPS);
    assert.equal(read.length, RANKS * STEPS);
  } finally {
    await lab.close();
  }
});
