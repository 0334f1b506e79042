import { LRUCache } from "lru-cache";
import { awakeNow } from "../../protocol/awake-time.ts";

/** An object of S3 in one state of it. */
export type Aging = { readonly key: string; readonly etag: string; readonly ageMs: number };

/** Returns the milliseconds for which an object has been as it is. */
export type AgeOf = (object: Aging) => number;

/**
 * For a watchdog without a memory, as on Lambda: S3 stamped the object and says what time it is, so no clock of a laptop
 * or a function counts. What runs on AWS does not sleep.
 */
export const ageByS3: AgeOf = ({ ageMs }) => ageMs;

/** Jobs that are watched at a time; of more, the silence of some would be measured anew. */
const REMEMBERED = 10_000;

/**
 * For a watchdog that stays, as on a laptop: the time for which it was awake and saw the object as it is. A laptop that
 * slept, or whose clock was set, has seen no silence.
 */
export function ageAwake(now = awakeNow): AgeOf {
  const seen = new LRUCache<string, { readonly etag: string; readonly since: number }>({ max: REMEMBERED });
  return ({ key, etag }) => {
    const before = seen.get(key);
    const since = before?.etag === etag ? before.since : now();
    seen.set(key, { etag, since });
    return now() - since;
  };
}
