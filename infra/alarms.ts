import { Duration } from "aws-cdk-lib";
import { Alarm, ComparisonOperator, type Metric, TreatMissingData } from "aws-cdk-lib/aws-cloudwatch";
import { Construct } from "constructs";
import type { Functions } from "./functions.ts";

const period = Duration.minutes(5);
const statistic = "Sum";

/** What should never happen. Each alarm says where to look. */
export class Alarms extends Construct {
  readonly all: readonly Alarm[];

  constructor(scope: Construct, { updates, deadLetters, watchdog }: Functions) {
    super(scope, "Alarms");
    const metric = { period, statistic };
    this.all = [
      this.#onAny(
        "DeadLetters",
        // Not the depth of the queue: the function behind it empties it before anyone could count.
        deadLetters.lambda.metricInvocations(metric),
        "a message could not be handled and its job has failed; the job's reason and the log of updates say why",
      ),
      this.#onAny(
        "DeadLettersErrors",
        deadLetters.lambda.metricErrors(metric),
        "a job whose message could not be handled was not ended; see the log of dead-letters",
      ),
      this.#onAny(
        "AggregatorErrors",
        updates.lambda.metricErrors(metric),
        "the updates function crashed, ran out of memory or out of time; see its log",
      ),
      this.#onAny("WatchdogErrors", watchdog.lambda.metricErrors(metric), "the watchdog failed; see its log"),
      new Alarm(this, "WatchdogSilent", {
        metric: watchdog.lambda.metricInvocations(metric),
        threshold: 1,
        evaluationPeriods: 2,
        comparisonOperator: ComparisonOperator.LESS_THAN_THRESHOLD,
        treatMissingData: TreatMissingData.BREACHING,
        alarmDescription: "the watchdog is not called: no one looks after stalled jobs; see its schedule",
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
