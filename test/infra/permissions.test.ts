import assert from "node:assert/strict";
import { test } from "node:test";
import type { Template } from "aws-cdk-lib/assertions";
import { keys } from "../../protocol/keys.ts";
import { allowedTo, allows, ofType, type Statement, statements, synthesize, written } from "./synthesize.ts";

const { parameterServer, workers } = synthesize({ name: "lab" });
const bucketOf = (template: Template) =>
  written({ "Fn::GetAtt": [ofType(template, "AWS::S3::Bucket")[0]?.[0], "Arn"] });
const bucket = bucketOf(parameterServer);
const [[, submitter] = assert.fail()] = ofType(parameterServer, "AWS::IAM::ManagedPolicy");
const [[updates] = assert.fail()] = ofType(parameterServer, "AWS::SQS::Queue").filter(([id]) =>
  id.startsWith("UpdateQueuesUpdates"),
);

const actors: Record<string, { granted: readonly Statement[]; bucket: string; updates: string }> = {
  updates: { granted: allowedTo(parameterServer, "FunctionsUpdatesRole"), bucket, updates: `${updates}.Arn` },
  "dead-letters": {
    granted: allowedTo(parameterServer, "FunctionsDeadLettersRole"),
    bucket,
    updates: `${updates}.Arn`,
  },
  watchdog: {
    granted: allowedTo(parameterServer, "FunctionsWatchdogRole"),
    bucket,
    updates: `${updates}.Arn`,
  },
  submitter: {
    granted: statements(submitter.Properties.PolicyDocument),
    bucket,
    updates: `${updates}.Arn`,
  },
  worker: workerGrants(),
};

/** A worker's stack knows bucket and queue by their parameters. */
function workerGrants() {
  const granted = allowedTo(workers, "WorkerRole");
  const list = granted.find(({ actions }) => actions.includes("s3:ListBucket"));
  const send = granted.find(({ actions }) => actions.includes("sqs:SendMessage"));
  return { granted, bucket: list?.resources[0] ?? "", updates: send?.resources[0] ?? "" };
}

const tasks = (name: string) => `arn:AWS::Partition:sqs:AWS::Region:AWS::AccountId:${name}_gpt-tasks-1`;

const objects = {
  record: keys.job("gpt"),
  layout: keys.layout("gpt"),
  state: keys.state("gpt"),
  frozen: keys.frozen("gpt"),
  "model file": `${keys.modelFiles("gpt")}config.json`,
  "shard of version 0": keys.shard("gpt", 0, 3),
  "shard of version 7": keys.shard("gpt", 7, 3),
  manifest: keys.manifest("gpt", 7),
  history: keys.history("gpt", 0),
  checkpoint: keys.checkpoint("gpt", 7, "model.safetensors"),
  evaluation: keys.evaluation("gpt", 7),
  gradient: keys.gradient("gpt", 7, 3, 1),
  marker: keys.active("gpt", 1),
  dataset: keys.dataset("abc", "tokens.bin"),
  pretrained: keys.pretrained("abc", "model.safetensors"),
  module: keys.module("abc"),
};

/** What each may do to which objects: all of it, so that a grant too many fails as well as one that lacks. */
const rights: Record<string, Record<string, readonly string[]>> = {
  "s3:GetObject": {
    updates: [...jobObjects(), "gradient"],
    "dead-letters": jobObjects(),
    watchdog: jobObjects(),
    worker: [...jobObjects(), "dataset", "pretrained", "module"],
    submitter: [...jobObjects(), "dataset", "pretrained", "module"],
  },
  "s3:PutObject": {
    updates: [
      ...["state", "shard of version 0", "shard of version 7", "manifest"],
      ...["history", "checkpoint", "gradient"],
    ],
    "dead-letters": ["state"],
    watchdog: ["state"],
    worker: ["layout", "frozen", "model file", "shard of version 0", "evaluation", "gradient"],
    submitter: ["record", "state", "marker", "dataset", "pretrained", "module"],
  },
  "s3:DeleteObject": {
    updates: ["shard of version 0", "shard of version 7", "manifest", "gradient", "marker"],
    "dead-letters": ["gradient", "marker"],
    watchdog: ["gradient", "marker"],
    worker: [],
    submitter: ["gradient", "marker", "record"],
  },
  "s3:AbortMultipartUpload": {
    submitter: [
      ...["record", "state", "marker", "dataset", "pretrained", "module"],
      ...["checkpoint", "frozen"],
    ],
  },
  "s3:ListMultipartUploadParts": { submitter: ["dataset", "pretrained", "checkpoint", "frozen"] },
};

function jobObjects(): string[] {
  return Object.entries(objects)
    .filter(([, key]) => key.startsWith(keys.jobs))
    .map(([what]) => what);
}

for (const [action, byActor] of Object.entries(rights)) {
  for (const [actor, expected] of Object.entries(byActor)) {
    test(`${actor}: ${action} on ${expected.join(", ") || "nothing"}, and no more`, () => {
      const { granted, bucket } = actors[actor] ?? assert.fail();
      const allowed = Object.entries(objects).filter(([, key]) =>
        allows(granted, action, `${bucket}/${key}`),
      );
      assert.deepEqual(allowed.map(([what]) => what).sort(), [...expected].sort());
    });
  }
}

test("everyone may list the bucket: without it S3 answers 403 for an object that is not there", () => {
  for (const [actor, { granted, bucket }] of Object.entries(actors)) {
    assert.ok(allows(granted, "s3:ListBucket", bucket), actor);
  }
});

const queueActions = {
  updates: ["DeleteQueue", "GetQueueUrl", "SendMessage"],
  "dead-letters": ["DeleteQueue", "GetQueueUrl"],
  watchdog: ["DeleteQueue", "GetQueueAttributes", "GetQueueUrl"],
  worker: ["ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "GetQueueUrl", "ReceiveMessage"],
  submitter: ["CreateQueue", "DeleteQueue", "GetQueueAttributes", "GetQueueUrl", "ListQueues"],
};
const updatesActions = {
  updates: [
    ...["ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes"],
    ...["GetQueueUrl", "ReceiveMessage", "SendMessage"],
  ],
  "dead-letters": [],
  watchdog: ["SendMessage"],
  worker: ["SendMessage"],
  submitter: ["GetQueueAttributes", "ListQueues", "SendMessage"],
};

const sqsActionsOn = (granted: readonly Statement[], resource: string): string[] => {
  const all = new Set(
    granted.flatMap(({ actions }) => actions).filter((action) => action.startsWith("sqs:")),
  );
  return [...all]
    .filter((action) => allows(granted, action, resource))
    .map((action) => action.slice(4))
    .sort();
};

for (const [actor, { granted, updates }] of Object.entries(actors)) {
  test(`${actor}: exactly what it does with queues`, () => {
    const name = actor as keyof typeof queueActions;
    assert.deepEqual(sqsActionsOn(granted, tasks("lab")), queueActions[name], "of tasks");
    assert.deepEqual(sqsActionsOn(granted, updates), updatesActions[name], "of updates");
    const others = actor === "submitter" ? ["ListQueues"] : [];
    assert.deepEqual(sqsActionsOn(granted, tasks("lab-2")), others, "of another stack");
  });
}

test("no statement says * of S3 or SQS, neither of what nor of where, but for listing queues", () => {
  for (const [actor, { granted }] of Object.entries(actors)) {
    for (const { actions, resources } of granted) {
      assert.ok(!actions.some((action) => action.includes("*")), `${actor}: ${actions}`);
      // AWS knows no permission to list only some queues.
      const ours = actions.filter((action) => /^(s3|sqs):/.test(action) && action !== "sqs:ListQueues");
      if (ours.length === 0) continue;
      for (const resource of resources) assert.doesNotMatch(resource, /^\*$|:\*$/, `${actor}: ${actions}`);
    }
  }
});

test("only the submitter lists queues", () => {
  for (const [actor, { granted }] of Object.entries(actors)) {
    assert.equal(allows(granted, "sqs:ListQueues", "*"), actor === "submitter", actor);
  }
});

test("those who end a job may end its workers, and a worker may not", () => {
  const job = "arn:AWS::Partition:batch:AWS::Region:AWS::AccountId:job/0a1b";
  for (const [actor, { granted }] of Object.entries(actors)) {
    assert.equal(allows(granted, "batch:TerminateJob", job), actor !== "worker", actor);
    assert.equal(allows(granted, "batch:ListJobs", "*"), actor !== "worker", actor);
  }
});

test("the submitter starts workers of its own stack only", () => {
  const { granted } = actors.submitter ?? assert.fail();
  const arn = (what: string) => `arn:AWS::Partition:batch:AWS::Region:AWS::AccountId:${what}`;
  for (const what of ["job-queue/lab-gpu", "job-queue/lab-cpu", "job-definition/lab-gpu:12"]) {
    assert.ok(allows(granted, "batch:SubmitJob", arn(what)), what);
  }
  for (const what of ["job-queue/other-gpu", "job-definition/lab-gpu2:1"]) {
    assert.ok(!allows(granted, "batch:SubmitJob", arn(what)), what);
  }
});
