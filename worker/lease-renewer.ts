import { log } from "../cloud/log.ts";
import type { Queues } from "../cloud/queues.ts";

/** The lease that a worker holds. */
export type HeldLease = { readonly url: string; readonly receipt: string; readonly seconds: number };

/**
 * Renews the lease that a worker holds, and gives it back when the worker is to stop. It runs on another thread than
 * the work: a gradient is computed in one go, during which no timer fires and no signal is handled.
 *
 * Giving a lease back while its gradient is still computed or pushed does no harm: the next worker to take the task finds
 * a piece stored, or creates it; it counts once.
 */
export class LeaseRenewer {
  readonly #queues: Queues;
  #held: HeldLease | null = null;
  #timer: NodeJS.Timeout | undefined;
  #renewal: Promise<void> = Promise.resolve();
  #isStopping = false;

  constructor(queues: Queues) {
    this.#queues = queues;
  }

  get held(): HeldLease | null {
    return this.#held;
  }

  /** Renews this lease from now on, in place of the one before; null for none. */
  hold(lease: HeldLease | null): void {
    clearInterval(this.#timer);
    this.#held = lease;
    if (!lease) return;
    const renew = () => {
      this.#renewal = this.#renew(lease);
    };
    if (this.#isStopping) void this.giveBack();
    else this.#timer = setInterval(renew, (lease.seconds * 1000) / 3);
  }

  /** Gives back, at once, the lease that is held and any that the worker still takes. Never throws: a lease lapses by itself. */
  async giveBack(): Promise<void> {
    this.#isStopping = true;
    clearInterval(this.#timer);
    const lease = this.#held;
    if (!lease) return;
    this.#held = null;
    // A renewal that SQS received after it would undo it.
    await this.#renewal;
    try {
      await this.#queues.lease(lease.url, lease.receipt, 0);
    } catch (error) {
      log.warn("lease not given back", { error });
    }
  }

  async #renew(lease: HeldLease): Promise<void> {
    try {
      const renewed = await this.#queues.lease(lease.url, lease.receipt, lease.seconds);
      if (renewed || this.#held !== lease) return;
      clearInterval(this.#timer);
      log.warn("lease lost", { why: "it lapsed, or the job has ended" });
    } catch (error) {
      // A lease that was given up meanwhile has nothing to report.
      if (this.#held === lease) log.warn("lease not renewed", { error });
    }
  }
}
