import type { Cloud } from "./connect.ts";

/**
 * Wakes a job's coordinator, which then reads in S3 what changed.
 *
 * @param cause SQS drops a second wake of the same cause within five minutes
 * @param redispatch asks for the tasks whose results the present step still lacks to be sent again
 */
export async function wakeCoordinator(
  { queues, updates }: Cloud,
  job: string,
  cause: string,
  redispatch = false,
): Promise<void> {
  await queues.sendUpdates(updates, [{ kind: "wake", job, redispatch }], () => cause);
}
