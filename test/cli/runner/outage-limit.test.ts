import assert from "node:assert/strict";
import { test } from "node:test";
import { Patience } from "../../../cli/runner/outage-limit.ts";
import { InvalidInput } from "../../../protocol/errors.ts";

const outage = new Error("connect ECONNREFUSED");

test("an outage is borne for half a minute, counted from the last answer", () => {
  const patience = new Patience();
  patience.bear(outage, 0);
  patience.bear(outage, 30_000);
  assert.throws(() => patience.bear(outage, 30_001), outage);
  patience.renew();
  patience.bear(outage, 40_000);
  patience.bear(outage, 70_000);
});

test("what no further look would change is not borne", () => {
  const error = new InvalidInput("there is no such job");
  assert.throws(() => new Patience().bear(error), error);
});
