import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Lab, openLab } from "../support/lab.ts";

/** What is created stays as it is; what is replaced is what was read. */

let lab: Lab;
before(async () => {
  lab = await openLab();
});
after(() => lab.close());

const bytes = (text: string) => new TextEncoder().encode(text);
const read = async (key: string) => Buffer.from((await lab.cloud.store.get(key))?.body ?? []).toString();

test("a second create of a key says that it exists, and leaves the first bytes", async () => {
  const { store } = lab.cloud;
  assert.equal(await store.create("created", bytes("first")), "created");
  assert.equal(await store.create("created", bytes("second")), "exists");
  assert.equal(await read("created"), "first");
});

test("a second create from parts says so too", async () => {
  const { store } = lab.cloud;
  async function* parts(text: string) {
    yield bytes(text);
  }
  assert.equal(await store.createFromParts("parts", parts("first")), "created");
  assert.equal(await store.createFromParts("parts", parts("second")), "exists");
  assert.equal(await read("parts"), "first");
});

test("a replace of what was changed since it was read gives null, and leaves the change", async () => {
  const { store } = lab.cloud;
  await store.create("replaced", bytes("first"));
  const etag = (await store.get("replaced"))?.etag ?? "";
  assert.notEqual(await store.replace("replaced", bytes("second"), etag), null);
  assert.equal(await store.replace("replaced", bytes("third"), etag), null);
  assert.equal(await read("replaced"), "second");
});
