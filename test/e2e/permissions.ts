import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  AttachUserPolicyCommand,
  CreateAccessKeyCommand,
  CreateUserCommand,
  GetPolicyCommand,
  GetPolicyVersionCommand,
  GetRolePolicyCommand,
  type IAMClient,
  ListPoliciesCommand,
  ListRolePoliciesCommand,
  ListRolesCommand,
  PutRolePolicyCommand,
  PutUserPolicyCommand,
} from "@aws-sdk/client-iam";
import { z } from "zod";
import type { Deployment } from "../support/deployment.ts";

/**
 * ministack asks for permission by the name of the call. AWS has none for the batch calls of SQS: there the permission
 * of the single call covers them.
 */
const BATCH_CALLS = new Map([
  ["sqs:SendMessage", "sqs:SendMessageBatch"],
  ["sqs:DeleteMessage", "sqs:DeleteMessageBatch"],
  ["sqs:ChangeMessageVisibility", "sqs:ChangeMessageVisibilityBatch"],
]);
/** Calls whose resource ministack does not work out, so that only a permission for everything lets them through. */
const UNRESOLVED_CALLS = ["ssm:GetParametersByPath", "logs:FilterLogEvents", "logs:GetLogEvents"];
const DEVIATIONS_POLICY = "ministack-deviations";

const oneOrMore = z.union([z.string(), z.array(z.string())]).transform((value) => [value].flat());
const documentSchema = z.object({
  Version: z.string(),
  Statement: z.array(z.object({ Effect: z.literal("Allow"), Action: oneOrMore, Resource: oneOrMore })),
});
type Document = z.infer<typeof documentSchema>;

export type Keys = { readonly AWS_ACCESS_KEY_ID: string; readonly AWS_SECRET_ACCESS_KEY: string };

/** Lets the deployed functions do under ministack's names what their roles let them do under AWS's. */
export async function allowDeviations(iam: IAMClient, { name }: Deployment | Named): Promise<void> {
  const { Roles = [] } = await iam.send(new ListRolesCommand({ MaxItems: 1000 }));
  for (const { RoleName } of Roles.filter((role) => role.RoleName?.startsWith(`${name}-ParameterServer`))) {
    const { PolicyNames = [] } = await iam.send(new ListRolePoliciesCommand({ RoleName }));
    const documents: Document[] = [];
    for (const PolicyName of PolicyNames) {
      const stored = await iam.send(new GetRolePolicyCommand({ RoleName, PolicyName }));
      documents.push(parseDocument(stored.PolicyDocument));
    }
    const PolicyDocument = deviationsOf(documents);
    if (PolicyDocument === null) continue;
    await iam.send(new PutRolePolicyCommand({ RoleName, PolicyName: DEVIATIONS_POLICY, PolicyDocument }));
  }
}
type Named = { readonly name: string };

/** A user who may do what a policy says. */
export async function createUser(iam: IAMClient, UserName: string, policy: Document): Promise<Keys> {
  await iam.send(new CreateUserCommand({ UserName }));
  const PolicyDocument = JSON.stringify(policy);
  await iam.send(new PutUserPolicyCommand({ UserName, PolicyName: "own", PolicyDocument }));
  return finishUser(iam, UserName, policy);
}

/** A user to whom the stack's policy for submitters is attached, and nothing else. */
export async function createSubmitter(iam: IAMClient): Promise<Keys> {
  const UserName = "submitter";
  const { PolicyArn, document } = await submitterPolicy(iam);
  await iam.send(new CreateUserCommand({ UserName }));
  await iam.send(new AttachUserPolicyCommand({ UserName, PolicyArn }));
  return finishUser(iam, UserName, document);
}

/** A user who may do some of what the stack's policy for submitters says: the actions that `mayDo` lets through. */
export async function createUserWith(
  iam: IAMClient,
  UserName: string,
  mayDo: (action: string) => boolean,
): Promise<Keys> {
  const { document } = await submitterPolicy(iam);
  const Statement = document.Statement.flatMap((statement) => {
    const Action = statement.Action.filter(mayDo);
    return Action.length === 0 ? [] : [{ ...statement, Action }];
  });
  return createUser(iam, UserName, { ...document, Statement });
}

/** What the stack's policy for submitters allows to do. */
export async function submitterActions(iam: IAMClient): Promise<string[]> {
  const { document } = await submitterPolicy(iam);
  return [...new Set(document.Statement.flatMap(({ Action }) => Action))];
}

async function submitterPolicy(iam: IAMClient) {
  const { Policies = [] } = await iam.send(new ListPoliciesCommand({ Scope: "Local", MaxItems: 1000 }));
  const PolicyArn = Policies.find((policy) => policy.PolicyName?.includes("SubmitterPolicy"))?.Arn;
  const { Policy } = await iam.send(new GetPolicyCommand({ PolicyArn }));
  const version = { PolicyArn, VersionId: Policy?.DefaultVersionId };
  const { PolicyVersion } = await iam.send(new GetPolicyVersionCommand(version));
  return { PolicyArn, document: parseDocument(PolicyVersion?.Document) };
}

async function finishUser(iam: IAMClient, UserName: string, policy: Document): Promise<Keys> {
  const PolicyDocument = deviationsOf([policy]);
  if (PolicyDocument !== null) {
    await iam.send(new PutUserPolicyCommand({ UserName, PolicyName: DEVIATIONS_POLICY, PolicyDocument }));
  }
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName }));
  return {
    AWS_ACCESS_KEY_ID: AccessKey?.AccessKeyId ?? "",
    AWS_SECRET_ACCESS_KEY: AccessKey?.SecretAccessKey ?? "",
  };
}

/** The same permissions as ministack asks for them; null when it asks for none otherwise than AWS. */
function deviationsOf(documents: readonly Document[]): string | null {
  const Statement = documents.flatMap((document) =>
    document.Statement.flatMap(({ Action, Resource }) => {
      const batches = Action.flatMap((action) => BATCH_CALLS.get(action) ?? []);
      const unresolved = Action.filter((action) => UNRESOLVED_CALLS.includes(action));
      return [
        ...(batches.length === 0 ? [] : [{ Effect: "Allow", Action: batches, Resource }]),
        ...(unresolved.length === 0 ? [] : [{ Effect: "Allow", Action: unresolved, Resource: "*" }]),
      ];
    }),
  );
  return Statement.length === 0 ? null : JSON.stringify({ Version: "2012-10-17", Statement });
}

const parseDocument = (encoded: string | undefined): Document =>
  documentSchema.parse(JSON.parse(decodeURIComponent(encoded ?? "")));

/**
 * The policy of the workers' role, from the Workers stack's template: that stack can't be deployed on ministack, which
 * has no Batch.
 */
export function workerPolicy({ name, ministack, parameters }: Omit<Deployment, "batch" | "close">): Document {
  const file = join(ministack.folder, "cdk.out", `${name}-Workers.template.json`);
  const template = JSON.parse(readFileSync(file, "utf8")) as Template;
  const found = Object.entries(template.Resources).find(
    ([id, { Type }]) => Type === "AWS::IAM::Policy" && id.startsWith("WorkerRole"),
  );
  const values = new Map([
    ["AWS::Partition", "aws"],
    ["AWS::Region", "us-east-1"],
    ["AWS::AccountId", "000000000000"],
    ...Object.entries(template.Parameters).map(
      ([id, { Default }]) => [id, parameters[Default.replace(`/serverless-ps/${name}/`, "")] ?? ""] as const,
    ),
  ]);
  return documentSchema.parse(evaluate(found?.[1].Properties.PolicyDocument, values));
}

type Template = {
  readonly Parameters: Readonly<Record<string, { readonly Default: string }>>;
  readonly Resources: Readonly<
    Record<string, { readonly Type: string; readonly Properties: { readonly PolicyDocument?: unknown } }>
  >;
};

/** Works out the functions of a CloudFormation template that our policies use. */
function evaluate(value: unknown, values: ReadonlyMap<string, string>): unknown {
  if (Array.isArray(value)) return value.map((item) => evaluate(item, values));
  if (typeof value !== "object" || value === null) return value;
  const [[key, argument] = ["", null]] = Object.entries(value);
  const given = evaluate(argument, values);
  if (key === "Ref") return values.get(String(given)) ?? fail(`no value for ${given}`);
  if (!key.startsWith("Fn::")) {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, evaluate(v, values)]));
  }
  const [first, second] = given as [string, string[] | string];
  if (key === "Fn::Join" && Array.isArray(second)) return second.join(first);
  if (key === "Fn::Split" && typeof second === "string") return second.split(first);
  if (key === "Fn::Select") return second[Number(first)];
  return fail(`this test does not know ${key}`);
}

function fail(message: string): never {
  throw new Error(message);
}
