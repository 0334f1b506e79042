import assert from "node:assert/strict";
import { test } from "node:test";
import { App, Stack, Validations } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { Bucket } from "aws-cdk-lib/aws-s3";
import { AwsSolutionsChecks } from "cdk-nag";
import { InvalidInput } from "../../protocol/errors.ts";
import { synthesize } from "./synthesize.ts";

test("AWS's rules for good solutions find nothing, with images of ECR and without", () => {
  for (const settings of [
    { workerImage: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/worker:1" },
    { gpuFamilies: "g4dn", zones: "3" },
  ]) {
    const { app } = synthesize(settings);
    assert.deepEqual(new AwsSolutionsChecks(app).validateScope(app).violations, []);
  }
});

test("a finding fails the synthesis", () => {
  const app = new App();
  const stack = new Stack(app, "Careless");
  new Bucket(stack, "Bucket");
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  assert.throws(() => Template.fromStack(stack), /Validation failed/);
});

test("every acknowledgement gives a reason, and there is something to acknowledge", () => {
  const image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/worker:1";
  const { app } = synthesize({ workerImage: image, workerImageCpu: image });
  const checks = new AwsSolutionsChecks(app);
  Reflect.set(checks, "isAcknowledged", () => false);
  const findings = checks
    .validateScope(app)
    .violations.flatMap(({ ruleName, violatingResources }) =>
      violatingResources.map(({ constructPath }) => `${ruleName} ${constructPath}`),
    );
  const acknowledged = app.node.findAll().flatMap(({ node }) =>
    node.metadata
      .filter(({ type }) => type === Validations.ACKNOWLEDGED_RULES_METADATA_KEY)
      .flatMap(({ data }) => Object.entries(data as Record<string, unknown>))
      .map(([rule, reason]) => ({ what: `${rule.replace(/^annotation::/i, "")} ${node.path}`, reason }))
      // The others are CDK's own.
      .filter(({ what }) => what.startsWith("AwsSolutions-")),
  );
  assert.ok(acknowledged.length > 20);
  for (const { what, reason } of acknowledged) {
    assert.ok(JSON.stringify(reason).length > 20, what);
    assert.ok(
      findings.some((finding) => finding.startsWith(what)),
      `nothing to acknowledge: ${what}`,
    );
  }
});

for (const [setting, value, rule] of [
  ["name", "Lab_1", /-c name must be 1 to 16 lower-case letters.*, got Lab_1/],
  ["name", "seventeen-letters", /-c name must be 1 to 16 lower-case letters.*, got seventeen-letters/],
  ["gpuFamilies", "p5", /-c gpuFamilies.*, got p5/],
  ["zones", "none", /-c zones .*, got none/],
] as const) {
  test(`-c ${setting}=${value} is refused, by name, rule and value`, () => {
    assert.throws(
      () => synthesize({ [setting]: value }),
      (error) => error instanceof InvalidInput && rule.test(error.message),
    );
  });
}
