import { Duration } from "aws-cdk-lib";
import { Rule, Schedule } from "aws-cdk-lib/aws-events";
import { LambdaFunction } from "aws-cdk-lib/aws-events-targets";
import type { Function as Lambda } from "aws-cdk-lib/aws-lambda";
import type { Construct } from "constructs";

/** Calls the watchdog every minute. A call that fails is not repeated: the next minute's does the same work. */
export function createWatchdogSchedule(scope: Construct, watchdog: Lambda): Rule {
  watchdog.configureAsyncInvoke({ retryAttempts: 0, maxEventAge: Duration.minutes(1) });
  return new Rule(scope, "WatchdogSchedule", {
    description: "calls the watchdog, which watches every job that has not ended",
    schedule: Schedule.rate(Duration.minutes(1)),
    targets: [new LambdaFunction(watchdog)],
  });
}
