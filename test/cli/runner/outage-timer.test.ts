import assert from "node:assert/strict";
import { test } from "node:test";
import { OutageTimer } from "../../../cli/runner/outage-timer.ts";
import { InvalidInput } from "../../../protocol/errors.ts";

const outage = new Error("connect ECONNREFUSED");

test("an outage may last half a minute, counted from the last answer", () => {
  const timer = new OutageTimer();
  timer.check(outage, 0);
  timer.check(outage, 30_000);
  assert.throws(() => timer.check(outage, 30_001), outage);
  timer.reset();
  timer.check(outage, 40_000);
  timer.check(outage, 70_000);
});

test("an error that no further poll would change is thrown at once", () => {
  const error = new InvalidInput("there is no such job");
  assert.throws(() => new OutageTimer().check(error), error);
});
