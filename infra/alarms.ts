import { Duration } from "aws-cdk-lib";
import { Alarm, ComparisonOperator, type Metric, TreatMissingData } from "aws-cdk-lib/aws-cloudwatch";
import { Construct } from "constructs";
import type { Functions } from "./functions.ts";

const period = Duration.minutes(5);
const statistic = "Sum";

/** Alarms for events that should never happen. Each description says where to look. */
export class Alarms extends Construct {
  readonly all: readonly Alarm[];

  constructor(scope: Construct, { updates, deadLetters, watchdog }: Functions) {
    super(scope, "Alarms");
    const metric = { period, statistic };
    this.all = [
      this.#onAny(
        "DeadLetters",
        // The depth of the queue would always be 0: its function empties it at once.
        deadLetters.lambda.metricInvocations(metric),
        "a message could not be handled, so its job failed; the job's reason and the log of updates say why",
      ),
      this.#onAny(
        "DeadLettersErrors",
        deadLetters.lambda.metricErrors(metric),
        "a job whose message could not be handled was not ended; see the log of dead-letters",
      ),
      this.#onAny(
        "AggregatorErrors",
        updates.lambda.metricErrors(metric),
        "the updates function crashed, or ran out of memory or time; see its log",
      ),
      this.#onAny("WatchdogErrors", watchdog.lambda.metricErrors(metric), "the watchdog failed; see its log"),
      new Alarm(this, "WatchdogSilent", {
        metric: watchdog.lambda.metricInvocations(metric),
        threshold: 1,
        evaluationPeriods: 2,
        comparisonOperator: ComparisonOperator.LESS_THAN_THRESHOLD,
        treatMissingData: TreatMissingData.BREACHING,
        alarmDescription: "the watchdog is not called, so stalled jobs are not ended; see its schedule",
      }),
    ];
  }

  #onAny(id: string, metric: Metric, alarmDescription: string): Alarm {
    return new Alarm(this, id, {
      metric,
      threshold: 1,
      evaluationPeriods: 1,
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: TreatMissingData.NOT_BREACHING,
      alarmDescription,
    });
  }
}
