import type { Cloud } from "./connect.ts";

/**
 * Tells a job's coordinator that something happened.
 *
 * @param cause two wakes of one cause within five minutes count as one
 * @param redo asks it to hand out again what is missing of the present step
 */
export async function wakeCoordinator(cloud: Cloud, job: string, cause: string, redo = false): Promise<void> {
  await cloud.queues.sendUpdates(cloud.updates, [{ kind: "wake", job, redo }], () => cause);
}
