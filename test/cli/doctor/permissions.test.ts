import assert from "node:assert/strict";
import { test } from "node:test";
import { type Answered, findingsOn, leftQueue } from "../../../cli/doctor/permissions/check.ts";
import { type Verdict, verdictOn } from "../../../cli/doctor/permissions/verdict.ts";

/** What AWS's answers say about permissions; the texts are those of AWS, with an account that is not. */

const USER = "User: arn:aws:iam::123456789012:user/me is not authorized to perform:";
const WHY = "because no identity-based policy allows it";

const failed = (name: string, message = "") =>
  ({ status: "rejected", reason: Object.assign(new Error(message), { name }) }) as const;

function verdict(action: string, answer: Parameters<typeof verdictOn>[1], ...refusals: string[]): Verdict {
  return verdictOn({ action, refusals }, answer);
}

const denied = { kind: "denied", explicitly: false };

test("what is answered, and what is refused as it can't be done, is allowed", () => {
  assert.deepEqual(verdict("s3:DeleteObject", { status: "fulfilled" }), { kind: "allowed" });
  const refused = failed("BadDigest", "The Content-MD5 you specified did not match what we received.");
  assert.deepEqual(verdict("s3:PutObject", refused, "BadDigest"), { kind: "allowed" });
});

test("each service's way to deny is known", () => {
  const answers: [action: string, name: string, message: string][] = [
    ["s3:PutObject", "AccessDenied", "Access Denied"],
    ["s3:PutObject", "AccessDenied", `${USER} s3:PutObject on resource: "arn:aws:s3:::b/k" ${WHY}`],
    ["sqs:CreateQueue", "AccessDenied", `${USER} sqs:createqueue on resource: arn:aws:sqs:r:1:q ${WHY}`],
    ["sqs:CreateQueue", "SQSServiceException", "Access to the resource https://sqs.r/ is denied."],
    [
      "sqs:GetQueueUrl",
      "QueueDoesNotExist",
      "The specified queue does not exist or you do not have access to it.",
    ],
    ["batch:SubmitJob", "AccessDeniedException", `${USER} batch:SubmitJob on resource: x ${WHY}`],
    ["batch:SubmitJob", "ClientException", `${USER} batch:SubmitJob on resource: x ${WHY}`],
  ];
  for (const [action, name, message] of answers) {
    assert.deepEqual(
      verdict(action, failed(name, message), "ClientException"),
      denied,
      `${name}: ${message}`,
    );
  }
});

test("an explicit deny is told from a permission that nobody gave", () => {
  const text = `${USER} s3:PutObject on resource: x with an explicit deny in a service control policy`;
  const answer = failed("AccessDenied", text);
  assert.deepEqual(verdict("s3:PutObject", answer), { kind: "denied", explicitly: true });
});

test("one can't tell from other failures, nor from the denial of another action", () => {
  const others = [
    failed("QueueDoesNotExist", "The specified queue does not exist."),
    failed("SlowDown", "Please reduce your request rate."),
    failed("SignatureDoesNotMatch", "The request signature we calculated does not match"),
    failed("AccessDenied", `${USER} s3:ListBucket on resource: "arn:aws:s3:::b" ${WHY}`),
    { status: "rejected", reason: "no words" } as const,
  ];
  for (const answer of others) assert.equal(verdict("s3:GetObject", answer, "NoSuchKey").kind, "unknown");
});

const answered = (action: string, resource: string, given: Verdict): Answered => ({
  action,
  resources: [resource],
  verdict: given,
});

test("an action that lacks on some resources is named once, with them alone, and what to attach", () => {
  const [allowed, lacking] = [{ kind: "allowed" }, { kind: "denied", explicitly: false }] as const;
  const findings = findingsOn(
    [
      answered("s3:PutObject", "b/datasets/x", lacking),
      answered("s3:PutObject", "b/jobs/x", allowed),
      answered("s3:PutObject", "b/active/x", lacking),
      answered("sqs:ListQueues", "*", allowed),
      answered("sqs:SendMessage", "q", { kind: "unknown", why: "Gone: no queue q" }),
      answered("sqs:DeleteQueue", "r", { kind: "unknown", why: "Gone: no queue r" }),
    ],
    "lab",
  );
  assert.deepEqual(
    findings.map(({ grade, found }) => [grade, found]),
    [
      ["bad", "1 of 4 that submitting takes"],
      ["bad", "s3:PutObject is missing on b/datasets/x, b/active/x"],
      ["poor", "could not check sqs:SendMessage, sqs:DeleteQueue: Gone: no queue q"],
    ],
  );
  assert.match(findings[0]?.fix ?? "", /^attach the policy SubmitterPolicyArn of lab-ParameterServer/);
});

test("with every permission there is one line, and nothing to fix", () => {
  const findings = findingsOn([answered("sqs:ListQueues", "*", { kind: "allowed" })], "lab");
  const found = "1 of 1 that submitting takes";
  assert.deepEqual(findings, [{ grade: "good", what: "permissions", found }]);
});

const CLEANUP = "npx ps-submit cleanup --yes --stack lab";

test("a queue that could be made and not deleted is told", () => {
  const [allowed, lacking] = [{ kind: "allowed" }, { kind: "denied", explicitly: false }] as const;
  const made = answered("sqs:CreateQueue", "q", allowed);
  assert.deepEqual(leftQueue([made, answered("sqs:DeleteQueue", "q", allowed)], "q", CLEANUP), []);
  const [left] = leftQueue([made, answered("sqs:DeleteQueue", "q", lacking)], "q", CLEANUP);
  assert.match(left?.found ?? "", /^q, made to try permissions on, could not be deleted$/);
  assert.match(left?.fix ?? "", /cleanup --yes/);
});
