import type { Cloud } from "../../cloud/connect.ts";
import { coordinate } from "../../functions/coordinator/coordinate.ts";
import { Unrecoverable } from "../../protocol/errors.ts";
import type { JobSpec } from "../../protocol/job.ts";
import { type GradientMessage, type Update, updateSchema } from "../../protocol/messages.ts";
import { encodePiece, type PieceName } from "../../protocol/piece.ts";
import { initialize } from "../../worker/init.ts";
import { type Lab, linearJob } from "./lab.ts";

/** A job in a lab without processes: the test itself calls the actors, one at a time. */

/** A job at version 0, whose gradient tasks are in its queue. Plain descent: a gradient of zeros changes nothing. */
export async function begunJob(
  lab: Pick<Lab, "cloud" | "submit">,
  name: string,
  changes: Record<string, unknown> = {},
): Promise<JobSpec> {
  const spec = linearJob(name, { optimizer: { type: "sgd", learningRate: 1 }, ...changes });
  await lab.submit(spec);
  await initialize(lab.cloud, await lab.cloud.jobs.record(name), null);
  await coordinate(lab.cloud, name, false);
  return spec;
}

export const reportOf = (worker: string) => ({
  loss: 1,
  tokens: 8,
  pullMs: 0,
  computeMs: 0,
  pushMs: 0,
  worker,
});

/** A piece all of whose elements are `value`. */
export const pieceFile = (name: PieceName, length: number, value = 0, worker = "test"): Uint8Array =>
  encodePiece(name, new Float32Array(length).fill(value), reportOf(worker));

/** The message that a piece rides in. */
export const messageOf = (name: PieceName, piece: Uint8Array | null): GradientMessage => ({
  kind: "gradient",
  ...name,
  dispatch: "1",
  inline: piece && Buffer.from(piece).toString("base64"),
});

/** Takes all waiting updates, of whatever job. */
export async function takeUpdates({ queues, updates }: Cloud): Promise<Update[]> {
  const taken: Update[] = [];
  for (
    let { waiting } = await queues.depth(updates);
    waiting > 0;
    { waiting } = await queues.depth(updates)
  ) {
    const received = await queues.receive(updates, new AbortController().signal);
    if (received === null || received === "gone")
      throw new Unrecoverable("a message that waited did not come");
    await queues.acknowledge(updates, received.receipt);
    taken.push(updateSchema.parse(JSON.parse(received.body)));
  }
  return taken;
}
