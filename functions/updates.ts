import type { SQSBatchResponse, SQSEvent, SQSRecord } from "aws-lambda";
import { failJob } from "../cloud/close.ts";
import { log, withLogFields } from "../cloud/log.ts";
import { reasonOf } from "../cloud/versions.ts";
import { CorruptData, isPermanent } from "../protocol/errors.ts";
import { actorOf, groupOf, MAX_RECEIVES, type Update, updateSchema } from "../protocol/messages.ts";
import { parseAs } from "../protocol/parse.ts";
import { at, required } from "../protocol/required.ts";
import { aggregate } from "./aggregator/aggregate.ts";
import { checkpoint } from "./checkpointer/checkpoint.ts";
import { coordinate } from "./coordinator/coordinate.ts";
import type { Server } from "./server.ts";

/** After this many tries a message's error becomes its job's reason; the dead letters are messages that kill actors. */
const MAX_TRIES = MAX_RECEIVES - 2;
/** Together with the tries, an outage of a minute and a half does not end a job. */
const MAX_BACKOFF_SECONDS = 15;

/**
 * The Lambda behind the `updates` queue: gives each message to the actor its group names. Groups go side by side;
 * within a group, one failure holds back all that came later.
 */
export function updatesHandler(server: Server): (event: SQSEvent) => Promise<SQSBatchResponse> {
  return async ({ Records }) => {
    const groups = Map.groupBy(Records, (record) =>
      required(record.attributes.MessageGroupId, "MessageGroupId"),
    );
    const failed = await Promise.all(
      [...groups].map(async ([group, records]) => {
        const { job, shard } = actorOf(group);
        return withLogFields({ job, group, ...(shard !== null && { shard }) }, async () => {
          const rest = await handleGroup(server, group, records);
          await backOff(server, rest);
          return rest;
        });
      }),
    );
    return { batchItemFailures: failed.flat().map((record) => ({ itemIdentifier: record.messageId })) };
  };
}

/**
 * Makes the failed messages of a group visible soon. Lambda would leave them hidden for the whole visibility timeout,
 * which is for actors that die without an answer.
 */
async function backOff({ cloud }: Server, records: readonly SQSRecord[]): Promise<void> {
  const [first] = records;
  if (!first) return;
  const seconds = Math.min(2 ** (receivesOf(first) - 1), MAX_BACKOFF_SECONDS);
  try {
    await Promise.all(
      records.map((record) => cloud.queues.lease(cloud.updates, record.receiptHandle, seconds)),
    );
  } catch (error) {
    // Nothing is lost: they come back when the timeout lapses.
    log.warn("messages not given back", { messageId: first.messageId, error });
  }
}

const receivesOf = ({ attributes }: SQSRecord): number => Number(attributes.ApproximateReceiveCount);

/**
 * An aggregator handles the gradients that came together all at once; the other actors handle one message at a time.
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
      log.warn("update failed", { messageId: at(records, i, "a message").messageId, error });
      return records.slice(i);
    }
  }
  return [];
}

/** Does the messages' work. An error that no further try can remove ends the job with that reason. */
async function handle(server: Server, group: string, records: readonly SQSRecord[]): Promise<void> {
  try {
    await perform(
      server,
      records.map(({ body }) => checkGroup(parseAs(updateSchema, body, "a message"), group)),
    );
  } catch (error) {
    const tries = Math.max(...records.map(receivesOf));
    if (!isPermanent(error) && tries < MAX_TRIES) throw error;
    const text = await reasonOf(server.cloud, error);
    const reason = isPermanent(error) ? text : `${text} (after ${tries} tries)`;
    await failJob(server.cloud, actorOf(group).job, reason);
  }
}

/** @throws CorruptData when a message is in a group that is not its actor's */
function checkGroup(update: Update, group: string): Update {
  if (groupOf(update) === group) return update;
  throw new CorruptData(`a ${update.kind} message for ${groupOf(update)} came in group ${group}`);
}

/** @param updates one, or several gradients of one shard */
async function perform(server: Server, updates: readonly Update[]): Promise<void> {
  const gradients = updates.filter((update) => update.kind === "gradient");
  if (gradients.length > 0) await aggregate(server, gradients);
  for (const update of updates) {
    if (update.kind === "wake") await coordinate(server.cloud, update.job, update.redispatch);
    if (update.kind === "fail") {
      await failJob(server.cloud, update.job, update.reason, update.attempt);
    }
    if (update.kind === "checkpoint") await checkpoint(server.cloud, update.job, update.version);
  }
}
