import assert from "node:assert/strict";
import { test } from "node:test";
import type { EvaluateOnExit } from "@aws-sdk/client-batch";
import { isRetried } from "./retry.ts";

const exited = (exitCode: number, reason?: string) => ({
  statusReason: "Essential container in task exited",
  exitCode,
  ...(reason !== undefined && { reason }),
});
const hostGone = { statusReason: "Host EC2 (instance i-0123456789abcdef0) terminated." };

const retried = (outcome: Parameters<typeof isRetried>[2], ...evaluateOnExit: EvaluateOnExit[]) =>
  isRetried({ attempts: 3, evaluateOnExit }, 1, outcome);

test("without a strategy there is one attempt", () => {
  assert.equal(isRetried({}, 1, exited(1)), false);
});

test("attempts are counted, whatever the rules say", () => {
  const strategy = { attempts: 3, evaluateOnExit: [{ onExitCode: "*", action: "RETRY" as const }] };
  assert.equal(isRetried(strategy, 2, exited(1)), true);
  assert.equal(isRetried(strategy, 3, exited(1)), false);
});

test("a failure that no rule speaks of is tried again", () => {
  assert.equal(retried(exited(1), { onExitCode: "2", action: "EXIT" }), true);
});

test("the first rule that fits decides", () => {
  const again: EvaluateOnExit = { onExitCode: "1", action: "RETRY" };
  const no: EvaluateOnExit = { onExitCode: "1*", action: "EXIT" };
  assert.equal(retried(exited(1), again, no), true);
  assert.equal(retried(exited(1), no, again), false);
  assert.equal(retried(exited(137), again, no), false, "1* is every code that begins with 1");
});

test("all conditions of a rule must hold", () => {
  const rule: EvaluateOnExit = { onExitCode: "137", onReason: "OutOfMemoryError:*", action: "EXIT" };
  assert.equal(retried(exited(137, "OutOfMemoryError: Container killed due to memory usage"), rule), false);
  assert.equal(retried(exited(137), rule), true);
});

test("a host that is gone has a status reason and no exit code", () => {
  const last: EvaluateOnExit = { onReason: "*", action: "EXIT" };
  assert.equal(retried(hostGone, { onStatusReason: "Host EC2*", action: "RETRY" }, last), true);
  assert.equal(retried(hostGone, { onExitCode: "*", action: "RETRY" }, last), false);
});

test("an action may be written in small letters", () => {
  assert.equal(retried(exited(1), { onReason: "*", action: "exit" as never }), false);
});
