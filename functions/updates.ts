import type { SQSBatchResponse, SQSEvent, SQSRecord } from "aws-lambda";
import { log } from "../cloud/log.ts";
import { CorruptData, describe, isPermanent } from "../protocol/errors.ts";
import { actorOf, groupOf, type Update, updateSchema } from "../protocol/messages.ts";
import { parseAs } from "../protocol/parse.ts";
import { aggregate } from "./aggregator/aggregate.ts";
import { checkpoint } from "./checkpointer/checkpoint.ts";
import { failJob } from "./coordinator/close.ts";
import { coordinate } from "./coordinator/coordinate.ts";
import type { Server } from "./server.ts";

/** After this many tries a message's error becomes its job's reason. The dead-letter queue takes over at 12. */
const TRIES = 10;

/**
 * The Lambda behind the `updates` queue: gives each message to the actor its group names. Groups go side by side;
 * within a group, one failure holds back all that came later.
 */
export function updatesHandler(server: Server): (event: SQSEvent) => Promise<SQSBatchResponse> {
  return async ({ Records }) => {
    const groups = Map.groupBy(Records, (record) => record.attributes.MessageGroupId ?? "");
    const failed = await Promise.all(
      [...groups].map(([group, records]) => handleGroup(server, group, records)),
    );
    return { batchItemFailures: failed.flat().map((record) => ({ itemIdentifier: record.messageId })) };
  };
}

/**
 * An aggregator takes the gradients that came together in one go; the other actors take one message at a time.
 *
 * @returns the records that failed: the first, and all later ones of the group
 */
async function handleGroup(
  server: Server,
  group: string,
  records: readonly SQSRecord[],
): Promise<readonly SQSRecord[]> {
  const { shard } = actorOf(group);
  const size = shard === null ? 1 : records.length;
  for (let i = 0; i < records.length; i += size) {
    try {
      await handle(server, group, records.slice(i, i + size));
    } catch (error) {
      log("update failed", { group, messageId: records[i]?.messageId, error: describe(error) });
      return records.slice(i);
    }
  }
  return [];
}

/** Does the messages' work. An error that no further try would mend ends the job with that reason. */
async function handle(server: Server, group: string, records: readonly SQSRecord[]): Promise<void> {
  try {
    await perform(
      server,
      records.map(({ body }) => addressed(parseAs(updateSchema, body, "a message"), group)),
    );
  } catch (error) {
    const tries = Math.max(...records.map((record) => Number(record.attributes.ApproximateReceiveCount)));
    if (!isPermanent(error) && tries < TRIES) throw error;
    const reason = isPermanent(error) ? describe(error) : `${describe(error)} (after ${tries} tries)`;
    await failJob(server.cloud, actorOf(group).job, reason);
  }
}

/** @throws CorruptData when a message stands in a group that is not its actor's */
function addressed(update: Update, group: string): Update {
  if (groupOf(update) === group) return update;
  throw new CorruptData(`a ${update.kind} message for ${groupOf(update)} came in group ${group}`);
}

/** @param updates one, or several gradients of one shard */
async function perform(server: Server, updates: readonly Update[]): Promise<void> {
  const gradients = updates.filter((update) => update.kind === "gradient");
  if (gradients.length > 0) await aggregate(server, gradients);
  for (const update of updates) {
    if (update.kind === "wake") await coordinate(server.cloud, update.job, update.redo);
    if (update.kind === "fail") await failJob(server.cloud, update.job, update.reason);
    if (update.kind === "checkpoint") await checkpoint(server.cloud, update.job, update.version);
  }
}
