import type { JobRecord } from "../../protocol/records.ts";
import { queueTrouble } from "../doctor/stack-queues.ts";
import { BatchWorkersView } from "../terminal/batch-workers-view.ts";
import { commandFor } from "./address.ts";
import { StackLogs } from "./stack-logs.ts";
import type { StackTarget, WorkersView } from "./target.ts";

/** Shows the workers of a job on AWS Batch. A stack without workers has none to show. */
export function viewOnStack({ stack, cloud, address }: StackTarget, record: JobRecord): WorkersView {
  const { workers } = stack;
  const pool = workers?.pools[record.provenance.device];
  if (cloud.batch === null || !workers || !pool) return { seen: null, update: async () => {} };
  const { environment } = address;
  const logs = new StackLogs(environment);
  const view = new BatchWorkersView({
    batch: cloud.batch,
    trouble: () => queueTrouble(pool.queue, environment),
    tail: (stream) => logs.tail(workers.logs, stream),
    command: (words) => commandFor(address, words),
  });
  return {
    get seen() {
      return view.seen;
    },
    update: (state, report) => view.poll(state, report),
  };
}
