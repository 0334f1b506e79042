import { z } from "zod";
import type { DiskSpace } from "./disk-space.ts";
import { ApiError, notImplemented } from "./errors.ts";
import { invalidParameter } from "./sqs-messages.ts";
import { type Queue, requireQueue } from "./sqs-queues.ts";
import type { Receivers } from "./sqs-receivers.ts";
import type { Store } from "./store.ts";

/** The state that actions of SQS work on. */
export type Sqs = {
  readonly store: Store;
  readonly space: DiskSpace;
  readonly receivers: Receivers;
  readonly now: () => number;
};

/** The client of a request: the address it used, and a signal that it disconnected without its answer. */
export type Caller = { readonly host: string; readonly gone: AbortSignal };

export type Action = (sqs: Sqs, parameters: unknown, caller: Caller) => Promise<object>;

const MAX_BATCH = 10;

/** Makes an action that checks its parameters first. One that the emulator does not know is refused. */
export function action<T extends z.ZodRawShape>(
  name: string,
  shape: T,
  run: (sqs: Sqs, parameters: z.infer<z.ZodObject<T, z.core.$strict>>, caller: Caller) => Promise<object>,
): [string, Action] {
  const schema = z.strictObject(shape);
  return [name, (sqs, parameters, caller) => run(sqs, parse(name, schema, parameters), caller)];
}

function parse<T>(name: string, schema: z.ZodType<T>, parameters: unknown): T {
  const parsed = schema.safeParse(parameters);
  if (parsed.success) return parsed.data;
  const unknown = parsed.error.issues.find((issue) => issue.code === "unrecognized_keys");
  if (unknown) throw notImplemented(`${name} with ${unknown.keys.join(", ")}`);
  throw invalidParameter(`${name}: ${z.prettifyError(parsed.error)}`);
}

/** Runs an operation on a queue in a transaction, then serves those who wait for its messages. */
export async function change<T>(
  { store, receivers }: Sqs,
  url: string,
  operation: (queue: Queue) => T,
  options?: { readonly durable: boolean },
): Promise<T> {
  const { value, id } = await store.write(() => {
    const queue = requireQueue(store, nameOf(url));
    return { value: operation(queue), id: queue.id };
  }, options);
  receivers.wake(id);
  return value;
}

/** Runs an operation for each entry of a batch. One that is refused does not stop the others. */
export function each<E extends { readonly Id: string }>(
  batch: readonly E[],
  operation: (entry: E) => object,
): object {
  requireBatch(batch);
  const Successful: object[] = [];
  const Failed: object[] = [];
  for (const entry of batch) {
    try {
      Successful.push({ Id: entry.Id, ...operation(entry) });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      Failed.push({ Id: entry.Id, Code: error.code, Message: error.message, SenderFault: true });
    }
  }
  return { Successful, ...(Failed.length > 0 ? { Failed } : {}) };
}

function requireBatch(batch: readonly { readonly Id: string }[]): void {
  if (batch.length === 0) throw new ApiError(400, "EmptyBatchRequest", "There should be at least one entry");
  if (batch.length > MAX_BATCH)
    throw new ApiError(
      400,
      "TooManyEntriesInBatchRequest",
      `A batch has at most ${MAX_BATCH} entries, got ${batch.length}`,
    );
  if (new Set(batch.map(({ Id }) => Id)).size < batch.length)
    throw new ApiError(400, "BatchEntryIdsNotDistinct", "Two or more entries have the same Id");
}

/** Returns the name of a queue, from its URL. */
export function nameOf(url: string): string {
  return url.slice(url.lastIndexOf("/") + 1);
}
