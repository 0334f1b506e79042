import assert from "node:assert/strict";
import { test } from "node:test";
import { Match } from "aws-cdk-lib/assertions";
import { MAX_RECEIVES } from "../../protocol/messages.ts";
import { ofType, synthesize, written } from "./synthesize.ts";

const { parameterServer: template } = synthesize({ name: "lab" });
const only = (type: string, id: string) => {
  const found = ofType(template, type).filter(([logical]) => logical.startsWith(id));
  assert.equal(found.length, 1, `one ${type} ${id}`);
  return found[0] ?? assert.fail();
};
const [updatesQueue] = only("AWS::SQS::Queue", "UpdateQueuesUpdates");
const [deadQueue] = only("AWS::SQS::Queue", "UpdateQueuesDead");
const [updatesFunction, { Properties: updates }] = only("AWS::Lambda::Function", "FunctionsUpdates");
const [deadFunction, { Properties: dead }] = only("AWS::Lambda::Function", "FunctionsDead");
const [watchdogFunction] = only("AWS::Lambda::Function", "FunctionsWatchdog");

test("the bucket is encrypted, private, reached over TLS only, and outlives its stack", () => {
  template.hasResource("AWS::S3::Bucket", {
    DeletionPolicy: "Retain",
    UpdateReplacePolicy: "Retain",
    Properties: {
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: "AES256" } }],
      },
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      },
      OwnershipControls: { Rules: [{ ObjectOwnership: "BucketOwnerEnforced" }] },
    },
  });
  const denied = Match.objectLike({
    Effect: "Deny",
    Principal: { AWS: "*" },
    Action: "s3:*",
    Condition: { Bool: { "aws:SecureTransport": "false" } },
  });
  template.hasResourceProperties("AWS::S3::BucketPolicy", {
    PolicyDocument: { Statement: Match.arrayWith([denied]) },
  });
});

test("gradients are removed after a week and unfinished uploads after two days, and nothing else is", () => {
  template.hasResourceProperties("AWS::S3::Bucket", {
    LifecycleConfiguration: {
      Rules: [
        { Id: "gradients", Prefix: "gradients/", ExpirationInDays: 7, Status: "Enabled" },
        {
          Id: "unfinished-uploads",
          AbortIncompleteMultipartUpload: { DaysAfterInitiation: 2 },
          Status: "Enabled",
        },
      ],
    },
  });
});

test("the updates queue is FIFO with high throughput, and gives up after as many receives as the code thinks", () => {
  template.hasResourceProperties("AWS::SQS::Queue", {
    FifoQueue: true,
    DeduplicationScope: "messageGroup",
    FifoThroughputLimit: "perMessageGroupId",
    ContentBasedDeduplication: Match.absent(),
    SqsManagedSseEnabled: true,
    RedrivePolicy: {
      deadLetterTargetArn: { "Fn::GetAtt": [deadQueue, "Arn"] },
      maxReceiveCount: MAX_RECEIVES,
    },
  });
});

test("a message stays hidden for twice as long as the function behind its queue may take", () => {
  const visibility = (id: string) => only("AWS::SQS::Queue", id)[1].Properties.VisibilityTimeout;
  assert.equal(visibility(updatesQueue), 2 * Number(updates.Timeout));
  assert.equal(visibility(deadQueue), 2 * Number(dead.Timeout));
});

test("queues are reached over TLS only", () => {
  for (const queue of [updatesQueue, deadQueue]) {
    template.hasResourceProperties("AWS::SQS::QueuePolicy", {
      Queues: [{ Ref: queue }],
      PolicyDocument: {
        Statement: [{ Effect: "Deny", Condition: { Bool: { "aws:SecureTransport": "false" } } }],
      },
    });
  }
});

test("functions run on Node 24 and arm64, within what a new account may ask for, and know the stack", () => {
  template.resourceCountIs("AWS::Lambda::Function", 3);
  for (const [, { Properties }] of ofType(template, "AWS::Lambda::Function")) {
    assert.equal(Properties.Runtime, "nodejs24.x");
    assert.deepEqual(Properties.Architectures, ["arm64"]);
    assert.equal(Properties.Handler, "index.handler");
    assert.ok(Number(Properties.MemorySize) <= 3008);
    const { Variables } = Properties.Environment as { Variables: Record<string, unknown> };
    assert.equal(written(Variables.PS_UPDATES_URL), updatesQueue);
    assert.match(written(Variables.PS_BUCKET), /^Bucket/);
    assert.equal(Variables.PS_QUEUE_PREFIX, "lab_");
    assert.equal(Variables.PS_JOB_QUEUES, "lab-gpu,lab-cpu");
  }
});

test("both queues feed their functions ten at a time at once, and hear which messages failed", () => {
  for (const [queue, lambda] of [
    [updatesQueue, updatesFunction],
    [deadQueue, deadFunction],
  ]) {
    template.hasResourceProperties("AWS::Lambda::EventSourceMapping", {
      EventSourceArn: { "Fn::GetAtt": [queue, "Arn"] },
      FunctionName: { Ref: lambda },
      BatchSize: 10,
      FunctionResponseTypes: ["ReportBatchItemFailures"],
      MaximumBatchingWindowInSeconds: Match.absent(),
    });
  }
  template.resourceCountIs("AWS::Lambda::EventSourceMapping", 2);
});

test("the watchdog is called every minute, and not again when it failed", () => {
  template.hasResourceProperties("AWS::Events::Rule", {
    ScheduleExpression: "rate(1 minute)",
    State: "ENABLED",
    Targets: [Match.objectLike({ Arn: { "Fn::GetAtt": [watchdogFunction, "Arn"] } })],
  });
  template.hasResourceProperties("AWS::Lambda::EventInvokeConfig", {
    FunctionName: { Ref: watchdogFunction },
    MaximumRetryAttempts: 0,
  });
});

test("logs are kept for a month, under the stack's name", () => {
  const groups = ofType(template, "AWS::Logs::LogGroup").map(([, { Properties }]) => [
    Properties.LogGroupName,
    Properties.RetentionInDays,
  ]);
  assert.deepEqual(groups.sort(), [
    ["/serverless-ps/lab/dead-letters", 30],
    ["/serverless-ps/lab/updates", 30],
    ["/serverless-ps/lab/watchdog", 30],
  ]);
});

test("ps-submit finds the stack by SSM parameters", () => {
  const values = ofType(template, "AWS::SSM::Parameter").map(([, { Properties }]) => [
    String(Properties.Name).replace("/serverless-ps/lab/", ""),
    written(Properties.Value).replace(/(Logs|Bucket)\w{8}$/, "$1"),
  ]);
  assert.deepEqual(Object.fromEntries(values), {
    bucket: "Bucket",
    "updates-url": updatesQueue,
    "dead-letters-url": deadQueue,
    "queue-prefix": "lab_",
    "logs/updates": "FunctionsUpdatesLogs",
    "logs/dead-letters": "FunctionsDeadLettersLogs",
    "logs/watchdog": "FunctionsWatchdogLogs",
  });
});

for (const [what, metric, lambda] of [
  ["a dead letter", "Invocations", deadFunction],
  ["a dead letter that could not be dealt with", "Errors", deadFunction],
  ["an error of the aggregators", "Errors", updatesFunction],
  ["an error of the watchdog", "Errors", watchdogFunction],
]) {
  test(`${what} raises an alarm`, () => {
    template.hasResourceProperties("AWS::CloudWatch::Alarm", {
      MetricName: metric,
      Dimensions: [{ Name: "FunctionName", Value: { Ref: lambda } }],
      Statistic: "Sum",
      Threshold: 1,
      EvaluationPeriods: 1,
      ComparisonOperator: "GreaterThanOrEqualToThreshold",
      TreatMissingData: "notBreaching",
    });
  });
}

test("a watchdog that is not called raises an alarm", () => {
  template.hasResourceProperties("AWS::CloudWatch::Alarm", {
    MetricName: "Invocations",
    Dimensions: [{ Name: "FunctionName", Value: { Ref: watchdogFunction } }],
    Threshold: 1,
    ComparisonOperator: "LessThanThreshold",
    TreatMissingData: "breaching",
  });
});

test("the dashboard shows every alarm and the age of the oldest update", () => {
  const [[, { Properties }] = assert.fail()] = ofType(template, "AWS::CloudWatch::Dashboard");
  const body = written(Properties.DashboardBody);
  assert.match(body, /ApproximateAgeOfOldestMessage/);
  for (const [alarm] of ofType(template, "AWS::CloudWatch::Alarm")) assert.ok(body.includes(alarm), alarm);
});

test("what costs money has the stack's tag", () => {
  for (const type of ["AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::Lambda::Function", "AWS::Logs::LogGroup"]) {
    template.allResourcesProperties(type, {
      Tags: Match.arrayWith([{ Key: "serverless-ps", Value: "lab" }]),
    });
  }
});
