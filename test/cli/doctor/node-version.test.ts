import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { findNodeProblem } from "../../../cli/doctor/node-version.ts";

const { engines } = JSON.parse(readFileSync("package.json", "utf8"));

test("the oldest Node is that of package.json, and an older one is told what to do", () => {
  assert.equal(engines.node, ">=22.18");
  assert.equal(findNodeProblem("22.18.0"), null);
  assert.equal(findNodeProblem("24.0.0"), null);
  assert.match(findNodeProblem("22.17.1") ?? "", /^Node 22\.18 or newer is needed, this is 22\.17\.1\. \S/);
  assert.match(findNodeProblem("20.20.2") ?? "", /npx ps-submit/);
});
