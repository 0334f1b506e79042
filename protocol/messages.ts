import { z } from "zod";
import { CorruptData } from "./errors.ts";
import { jobName } from "./job.ts";

/**
 * The messages in SQS. A message only wakes an actor, which reads the truth in S3. The only message with content of its
 * own is a small gradient piece.
 */

/** A piece up to this size is sent inside its message; a larger one is an S3 object that the message points to. */
export const INLINE_LIMIT_BYTES = 256 * 1024;

/** A message of the `updates` queue that was received this often goes to the dead letters. */
export const MAX_RECEIVES = 12;

/** A longer reason is cut: its start is enough for a person. */
export const MAX_REASON_CHARACTERS = 10_000;

const index = z.int().min(0);

/**
 * The id of the dispatch that a message belongs to: one sending of a step's tasks. It is part of deduplication ids, so
 * that a piece which a redispatched task sends again is not dropped as a duplicate of one that was lost.
 */
const dispatch = z.string().min(1).max(40);

/** Leases in a job's task queue. */
export const taskSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("init"), job: jobName, dispatch }),
  z.strictObject({ kind: z.literal("gradient"), job: jobName, step: index, rank: index, dispatch }),
  z.strictObject({ kind: z.literal("evaluate"), job: jobName, version: index, dispatch }),
]);
export type Task = z.infer<typeof taskSchema>;

/** Messages of the `updates` queue, each for the actor named by its group. */
export const updateSchema = z.discriminatedUnion("kind", [
  /** To aggregator `<job>/<shard>`: a rank's piece is here (`inline`, base64) or in S3 (`inline` is null). */
  z.strictObject({
    kind: z.literal("gradient"),
    job: jobName,
    step: index,
    shard: index,
    rank: index,
    dispatch,
    inline: z.base64().nullable(),
  }),
  /** To the coordinator: read what changed in S3. `redispatch`: send again the tasks whose results are missing. */
  z.strictObject({ kind: z.literal("wake"), job: jobName, redispatch: z.boolean() }),
  /** To the coordinator: end this attempt of the job with this reason. */
  z.strictObject({
    kind: z.literal("fail"),
    job: jobName,
    attempt: index,
    reason: z.string().min(1).max(MAX_REASON_CHARACTERS),
  }),
  /** To the checkpointer: write this version in the open format. */
  z.strictObject({ kind: z.literal("checkpoint"), job: jobName, version: index }),
]);
export type Update = z.infer<typeof updateSchema>;
export type GradientMessage = Extract<Update, { kind: "gradient" }>;

/** The FIFO message group of an update: the actor that gets it, one message at a time. */
export function groupOf(update: Update): string {
  switch (update.kind) {
    case "gradient":
      return `${update.job}/${update.shard}`;
    case "checkpoint":
      return `${update.job}/checkpoint`;
    default:
      return `${update.job}/coordinator`;
  }
}

/** The actor that a message group belongs to: its job, its name for people, and its shard if it is an aggregator. */
export function actorOf(group: string): { job: string; name: string; shard: number | null } {
  const [job, actor] = group.split("/");
  if (!job || !actor) throw new CorruptData(`${group} is not the message group of an actor`);
  const shard = /^\d+$/.test(actor) ? Number(actor) : null;
  return { job, shard, name: shard === null ? `the ${actor}` : `the aggregator of shard ${shard}` };
}
