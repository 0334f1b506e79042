import { Duration } from "aws-cdk-lib";
import { AlarmStatusWidget, Dashboard, GraphWidget, type IMetric } from "aws-cdk-lib/aws-cloudwatch";
import type { IQueue } from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";
import type { Alarms } from "./alarms.ts";
import type { Functions } from "./functions.ts";

const HALF_THE_WIDTH = 12;
const period = Duration.minutes(1);

/** Creates a page that shows whether jobs make steps, and if not, which part is the cause. */
export function createDashboard(
  scope: Construct,
  { updates, watchdog }: Functions,
  queue: IQueue,
  { all }: Alarms,
): Dashboard {
  const graph = (title: string, left: IMetric[], right: IMetric[] = []) =>
    new GraphWidget({ title, left, right, width: HALF_THE_WIDTH });
  const { lambda } = updates;
  return new Dashboard(scope, "Dashboard", {
    widgets: [
      [new AlarmStatusWidget({ title: "Alarms", alarms: [...all], width: 2 * HALF_THE_WIDTH, height: 2 })],
      [
        graph(
          "Updates queue: messages, and age of the oldest",
          [queue.metricNumberOfMessagesSent({ period }), queue.metricNumberOfMessagesDeleted({ period })],
          [queue.metricApproximateAgeOfOldestMessage({ period })],
        ),
        graph(
          "Updates function: duration of a batch",
          [
            lambda.metricDuration({ period, statistic: "p50" }),
            lambda.metricDuration({ period, statistic: "max" }),
          ],
          [lambda.metricInvocations({ period })],
        ),
      ],
      [
        graph("Updates function: errors and throttles", [
          lambda.metricErrors({ period }),
          lambda.metricThrottles({ period }),
        ]),
        graph(
          "Watchdog",
          [watchdog.lambda.metricInvocations({ period }), watchdog.lambda.metricErrors({ period })],
          [watchdog.lambda.metricDuration({ period })],
        ),
      ],
    ],
  });
}
