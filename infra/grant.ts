import { Stack, Validations } from "aws-cdk-lib";
import { type IGrantable, PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { IConstruct } from "constructs";
import { Bug } from "../protocol/errors.ts";

/** Actions, the resources that they are allowed on, and the reason for each pattern among these. */
export type Permission = {
  readonly actions: readonly string[];
  readonly resources: readonly string[];
  /** The reason for every resource that has a `*`; must be there when one has. */
  readonly why?: string;
};

/** Gives permissions, and acknowledges each pattern in them with its reason. */
export function grant(to: IConstruct & IGrantable, permissions: readonly Permission[]): void {
  const reasons = new Map<string, Set<string>>();
  for (const { actions, resources, why } of permissions) {
    to.grantPrincipal.addToPrincipalPolicy(
      new PolicyStatement({ actions: [...actions], resources: [...resources] }),
    );
    for (const resource of resources.map((each) => writeArn(Stack.of(to).resolve(each)))) {
      if (!resource.includes("*")) continue;
      if (why === undefined) throw new Bug(`a permission on ${resource} needs a reason`);
      reasons.set(resource, new Set(reasons.get(resource)).add(why));
    }
  }
  const acknowledged = [...reasons].map(([resource, whys]) => ({
    id: `AwsSolutions-IAM5[Resource::${resource}]`,
    reason: [...whys].join("; "),
  }));
  if (acknowledged.length > 0) Validations.of(to).acknowledge(...acknowledged);
}

/** Writes a resolved ARN as the checks name it: a reference is `<LogicalId>` or `<LogicalId.Attribute>`. */
function writeArn(resolved: unknown): string {
  if (typeof resolved === "string") return resolved;
  const { Ref, "Fn::GetAtt": attribute, "Fn::Join": join } = resolved as Record<string, unknown>;
  if (typeof Ref === "string") return `<${Ref}>`;
  if (Array.isArray(attribute)) return `<${attribute.join(".")}>`;
  if (Array.isArray(join) && Array.isArray(join[1])) return join[1].map(writeArn).join(String(join[0]));
  return JSON.stringify(resolved);
}
