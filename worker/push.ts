import type { Cloud } from "../cloud/connect.ts";
import { keys } from "../protocol/keys.ts";
import type { Layout } from "../protocol/layout.ts";
import { INLINE_LIMIT_BYTES, type Task, type Update } from "../protocol/messages.ts";
import { encodePiece, type Report } from "../protocol/piece.ts";

export type GradientTask = Extract<Task, { kind: "gradient" }>;

export type PushOptions = {
  readonly task: GradientTask;
  readonly layout: Layout;
  readonly gradient: Float32Array;
  readonly report: Report;
};

/**
 * Pushes a rank's gradient, one piece per shard, to the shards' aggregators. A small piece rides in its message; a
 * large one is stored first, create-only, so that doing a task twice stores it once.
 */
export async function push(
  { store, queues, updates }: Cloud,
  { task, layout, gradient, report }: PushOptions,
): Promise<void> {
  const { job, step, rank, dispatch } = task;
  const messages = await Promise.all(
    layout.shards.map(async ({ start, end }, shard): Promise<Update> => {
      const piece = encodePiece({ job, step, shard, rank }, gradient.subarray(start, end), report);
      const isSmall = piece.length <= INLINE_LIMIT_BYTES;
      if (!isSmall) await store.create(keys.gradient(job, step, shard, rank), piece);
      const inline = isSmall ? Buffer.from(piece).toString("base64") : null;
      return { kind: "gradient", job, step, shard, rank, dispatch, inline };
    }),
  );
  await queues.sendUpdates(updates, messages, () => `${step}-${rank}-${dispatch}`);
}
