import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { test } from "node:test";
import { numberVariable, variable } from "../../protocol/environment.ts";
import { describe, InvalidInput, isExpected, isOutage, isPermanent } from "../../protocol/errors.ts";
import { at, required } from "../../protocol/required.ts";

test("an error's text has the texts of its causes, each once", () => {
  const socket = new Error("connect ECONNREFUSED 127.0.0.1:1");
  const fetch = new TypeError("fetch failed", { cause: socket });
  assert.equal(describe(fetch), "TypeError: fetch failed (Error: connect ECONNREFUSED 127.0.0.1:1)");
  const told = new InvalidInput(`no model: ${describe(fetch)}`, { cause: fetch });
  assert.equal(describe(told), told.message);
  assert.equal(describe(new AggregateError([socket, socket])), "Error: connect ECONNREFUSED 127.0.0.1:1");
  assert.equal(describe("a word"), "a word");
});

test("an error whose cause is itself has an end", () => {
  const error = new Error("round");
  error.cause = error;
  assert.equal(describe(error), "Error: round");
});

test("a value that must be there is an error that names it when it is not", () => {
  assert.equal(required(0, "a count"), 0);
  assert.throws(() => required(undefined, "UploadId of S3's answer"), {
    name: "CorruptData",
    message: "UploadId of S3's answer is missing",
  });
  assert.equal(at([7], 0, "a shard"), 7);
  assert.throws(() => at([7], 1, "a shard"), { message: "a shard (index 1 of 1) is missing" });
});

test("an environment variable that is missing or no number is an error that names it", () => {
  assert.equal(variable({ PS_JOB: "a" }, "PS_JOB"), "a");
  assert.throws(() => variable({ PS_JOB: "" }, "PS_JOB"), {
    name: "InvalidInput",
    message: /^environment variable PS_JOB must be set/,
  });
  assert.equal(numberVariable({}, "PS_IDLE_SECONDS", 600), 600);
  assert.equal(numberVariable({ PS_IDLE_SECONDS: "0.5" }, "PS_IDLE_SECONDS", 600), 0.5);
  assert.throws(() => numberVariable({ PS_IDLE_SECONDS: "soon" }, "PS_IDLE_SECONDS", 600), {
    message: 'environment variable PS_IDLE_SECONDS must be a number of at least 0, got "soon"',
  });
});

test("an error of the machine is permanent and no outage; one of the network is an outage", () => {
  const thrown = (act: () => unknown): unknown => {
    try {
      return act();
    } catch (error) {
      return error;
    }
  };
  const noFolder = thrown(() => mkdtempSync("/nonexistent/ps-"));
  const noRoom = Object.assign(new Error("ENOSPC: no space left on device, write"), {
    code: "ENOSPC",
    syscall: "write",
  });
  const network = Object.assign(new Error("connect ECONNREFUSED"), {
    code: "ECONNREFUSED",
    syscall: "connect",
  });
  // A file that another process has just removed may be there the next time.
  const noFile = Object.assign(new Error("ENOENT"), { code: "ENOENT", syscall: "open" });
  assert.deepEqual([noFolder, noRoom, network, noFile].map(isPermanent), [true, true, false, false]);
  assert.deepEqual([noFolder, noRoom, network, noFile].map(isOutage), [false, false, true, true]);
  assert.deepEqual([noFolder, noRoom, network].map(isExpected), [true, true, true]);
});
