import { Stack } from "aws-cdk-lib";
import type { Construct } from "constructs";
import { Alarms } from "./alarms.ts";
import { createBucket } from "./bucket.ts";
import { createDashboard } from "./dashboard.ts";
import { Discovery } from "./discovery.ts";
import { DEAD_LETTERS_TIMEOUT, Functions, UPDATES_TIMEOUT } from "./functions.ts";
import { names } from "./names.ts";
import type { Settings } from "./settings.ts";
import { createSubmitterPolicy } from "./submitter-policy.ts";
import { UpdateQueues } from "./update-queues.ts";
import { createWatchdogSchedule } from "./watchdog-schedule.ts";

/** The stack of the bucket, the queues and the functions: all that a job needs except its workers. */
export class ParameterServer extends Stack {
  constructor(scope: Construct, { name }: Settings) {
    super(scope, names.parameterServer(name), { description: "serverless-ps: bucket, queues and functions" });
    const bucket = createBucket(this);
    const { updates, deadLetters } = new UpdateQueues(this, {
      updates: UPDATES_TIMEOUT,
      deadLetters: DEAD_LETTERS_TIMEOUT,
    });
    const functions = new Functions(this, { name, bucket, updates, deadLetters });
    createSubmitterPolicy(this, { name, bucket, updates });
    createWatchdogSchedule(this, functions.watchdog.lambda);
    createDashboard(this, functions, updates, new Alarms(this, functions));
    new Discovery(this, name, {
      bucket: bucket.bucketName,
      "updates-url": updates.queueUrl,
      "dead-letters-url": deadLetters.queueUrl,
      "queue-prefix": names.queuePrefix(name),
      "logs/updates": functions.updates.logs.logGroupName,
      "logs/dead-letters": functions.deadLetters.logs.logGroupName,
      "logs/watchdog": functions.watchdog.logs.logGroupName,
    });
  }
}
