import { isPermanent } from "../../protocol/errors.ts";

const UNREACHABLE_MS = 30_000;

/** How long a view of a job goes on while S3 does not answer: the job may well be running. */
export class Patience {
  #failingSince: number | null = null;

  /** Something was answered. */
  renew(): void {
    this.#failingSince = null;
  }

  /** @throws `error` when it says the same however often one asks, or nothing was answered for 30 seconds */
  bear(error: unknown, now = Date.now()): void {
    this.#failingSince ??= now;
    if (isPermanent(error) || now - this.#failingSince > UNREACHABLE_MS) throw error;
  }
}
