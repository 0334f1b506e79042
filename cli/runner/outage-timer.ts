import { awakeNow } from "../../protocol/awake-time.ts";
import { isPermanent } from "../../protocol/errors.ts";

const MAX_OUTAGE_MS = 30_000;

/** Limits how long a view of a job lasts while S3 does not answer: the job may well be running. */
export class OutageTimer {
  #failingSince: number | null = null;

  /** Is called with each answer. */
  reset(): void {
    this.#failingSince = null;
  }

  /** @throws `error` when it is permanent, or there was no answer for 30 seconds */
  check(error: unknown, now = awakeNow()): void {
    this.#failingSince ??= now;
    if (isPermanent(error) || now - this.#failingSince > MAX_OUTAGE_MS) throw error;
  }
}
