import { awakeNow } from "../../protocol/awake-time.ts";
import { numberOf, type Store } from "./store.ts";

/**
 * Returns the clock of the queues, in milliseconds since 1970 at its start. It never goes back, not even behind what
 * an earlier process has stamped, and stands still while this process sleeps: a lease that its worker could not renew
 * meanwhile is still good, and a clock that was set back hides no message for an hour.
 */
export function queueClock(store: Store): () => number {
  const [start, from] = [Math.max(Date.now(), latestTime(store)), awakeNow()];
  return () => Math.round(start + awakeNow() - from);
}

/** Returns when the latest message was sent or first received; 0 when there is none. */
function latestTime(store: Store): number {
  const sql = `SELECT max(
    (SELECT ifnull(max(sent), 0) FROM dedups),
    (SELECT ifnull(max(max(sent, ifnull(first, 0))), 0) FROM messages)) AS latest`;
  const row = store.get(sql);
  return row ? numberOf(row, "latest") : 0;
}
