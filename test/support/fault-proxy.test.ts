import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { type Fault, type FaultProxy, faultProxy } from "./fault-proxy.ts";

/** The proxy that disturbs tests does what it says: answers here are the requests' bodies. */

const BODY = "0123456789".repeat(100);
let arrived: string[] = [];
const echo = createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk);
  } catch {
    return;
  }
  const body = Buffer.concat(chunks);
  arrived.push(body.toString("latin1"));
  response.end(body);
});
let target: string;
before(async () => {
  echo.listen(0, "127.0.0.1");
  await once(echo, "listening");
  const address = echo.address();
  target = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
});
after(() => {
  echo.closeAllConnections();
  echo.close();
});

async function through(shares: Partial<Record<Fault, number>>, requests: number) {
  arrived = [];
  const proxy: FaultProxy = await faultProxy(target, { seed: 1, shares });
  const answers: (string | null)[] = [];
  for (let i = 0; i < requests; i++) {
    const answer = await fetch(proxy.endpoint, { method: "POST", body: BODY })
      .then(async (response) => Buffer.from(await response.arrayBuffer()).toString("latin1"))
      .catch(() => null);
    answers.push(answer);
  }
  await proxy.close();
  return { answers, counts: proxy.counts, arrived };
}

const differs = (text: string | null) => text !== BODY;

test("without faults everything arrives as it is", async () => {
  const { answers, counts } = await through({}, 10);
  assert.ok(!answers.some(differs));
  assert.equal(counts.size, 0);
});

test("a share of the answers is damaged, a share shortened, and the counts say how many", async () => {
  const { answers, counts, arrived } = await through({ damageAnswer: 0.2, shortenAnswer: 0.1 }, 200);
  assert.ok(!arrived.some(differs), "the requests arrive whole");
  const damaged = answers.filter((answer) => answer?.length === BODY.length && differs(answer)).length;
  const shortened = answers.filter((answer) => answer === null || answer.length < BODY.length).length;
  assert.equal(shortened, counts.get("shortenAnswer"));
  assert.ok(damaged >= 20 && damaged <= (counts.get("damageAnswer") ?? 0), `${damaged} damaged`);
  assert.ok(answers.includes(null), "some connections broke");
  assert.ok(
    answers.some((answer) => answer !== null && answer.length < BODY.length),
    "some lengths fit",
  );
});

test("requests are damaged, doubled and dropped", async () => {
  const { answers, counts, arrived } = await through(
    { damageRequest: 0.2, double: 0.2, dropRequest: 0.1 },
    100,
  );
  const dropped = counts.get("dropRequest") ?? 0;
  assert.equal(answers.filter((answer) => answer === null).length, dropped);
  assert.equal(arrived.length, 100 - dropped + (counts.get("double") ?? 0));
  assert.ok(arrived.filter(differs).length >= (counts.get("damageRequest") ?? 0));
});

test("an answer that is dropped was done all the same", async () => {
  const { answers, arrived } = await through({ dropAnswer: 1 }, 3);
  assert.deepEqual(answers, [null, null, null]);
  assert.equal(arrived.length, 3);
});
