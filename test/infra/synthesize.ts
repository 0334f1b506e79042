import { readFileSync } from "node:fs";
import { App } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { assemble } from "../../infra/assemble.ts";

export type Resource = {
  readonly Type: string;
  readonly Properties: Readonly<Record<string, unknown>>;
  readonly DeletionPolicy?: string;
};
export type Statement = { readonly actions: readonly string[]; readonly resources: readonly string[] };

/** Both stacks as `cdk synth` would make them, with images that need no Docker. */
export function synthesize(settings: Readonly<Record<string, string>> = {}) {
  const { context } = JSON.parse(readFileSync("cdk.json", "utf8"));
  const images = { workerImage: "example/worker:gpu", workerImageCpu: "example/worker:cpu" };
  const app = new App({ context: { ...context, ...images, ...settings } });
  const { parameterServer, workers } = assemble(app);
  return { app, parameterServer: Template.fromStack(parameterServer), workers: Template.fromStack(workers) };
}

export const resourcesOf = (template: Template): [string, Resource][] =>
  Object.entries(template.toJSON().Resources as Record<string, Resource>);

export const ofType = (template: Template, type: string): [string, Resource][] =>
  resourcesOf(template).filter(([, { Type }]) => Type === type);

/** What the inline policies of a role allow, the role being the one whose logical id starts so. */
export function allowedTo(template: Template, role: string): Statement[] {
  const policies = ofType(template, "AWS::IAM::Policy").filter(([, { Properties }]) =>
    written(Properties.Roles).startsWith(role),
  );
  return policies.flatMap(([, { Properties }]) => statements(Properties.PolicyDocument));
}

/** @param document of a policy in a template */
export function statements(document: unknown): Statement[] {
  const { Statement } = document as { Statement: { Effect: string; Action: unknown; Resource: unknown }[] };
  return Statement.filter(({ Effect }) => Effect === "Allow").map(({ Action, Resource }) => ({
    actions: [Action].flat().map(String),
    resources: [Resource].flat().map(written),
  }));
}

/** Whether some statement allows that, as IAM matches patterns. */
export const allows = (granted: readonly Statement[], action: string, resource: string): boolean =>
  granted.some(
    ({ actions, resources }) =>
      actions.includes(action) && resources.some((pattern) => matches(pattern, resource)),
  );

function matches(pattern: string, resource: string): boolean {
  const parts = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`).test(resource);
}

/** A value of a template in one line: references by their logical ids, an S3 ARN as `s3:::KEY`. */
export function written(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value)) return value.map(written).join(",");
  const { Ref, "Fn::GetAtt": attribute, "Fn::Join": join } = value as Record<string, unknown>;
  if (typeof Ref === "string") return Ref;
  if (Array.isArray(attribute)) return attribute.join(".");
  if (Array.isArray(join) && Array.isArray(join[1])) return join[1].map(written).join(String(join[0]));
  return JSON.stringify(value);
}
