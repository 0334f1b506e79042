import type { Queues, Received } from "../cloud/queues.ts";
import type { HeldLease } from "./lease-renewer.ts";

/** A task in hand. It stays this worker's until it is acknowledged or given back, or its renewal stops. */
export type Lease = Received & {
  /** The task's effect is in S3. */
  acknowledge(): Promise<void>;
  /** Another worker may have it, after `seconds`. */
  giveBack(seconds: number): Promise<void>;
};

/** Called with each lease that a worker takes, and with null at its end. */
export type OnLease = (lease: HeldLease | null) => void;

/** Takes the leases of a worker, at most one at a time. */
export class Leases {
  readonly #queues: Queues;
  readonly #url: string;
  readonly #seconds: number;
  readonly #onLease: OnLease;

  private constructor(queues: Queues, url: string, seconds: number, onLease: OnLease) {
    this.#queues = queues;
    this.#url = url;
    this.#seconds = seconds;
    this.#onLease = onLease;
  }

  /** @param onLease is how the worker's `LeaseRenewer` learns of them */
  static async open(queues: Queues, url: string, onLease: OnLease): Promise<Leases> {
    return new Leases(queues, url, await queues.leaseSeconds(url), onLease);
  }

  /** Waits for the next task, as `Queues.receive` does. */
  async take(signal: AbortSignal): Promise<Lease | null | "gone"> {
    const received = await this.#queues.receive(this.#url, signal);
    if (received === null || received === "gone") return received;
    const { receipt } = received;
    this.#onLease({ url: this.#url, receipt, seconds: this.#seconds });
    return {
      ...received,
      acknowledge: () => this.#settle(() => this.#queues.acknowledge(this.#url, receipt)),
      giveBack: (seconds) => this.#settle(() => this.#queues.lease(this.#url, receipt, seconds)),
    };
  }

  async #settle(effect: () => Promise<unknown>): Promise<void> {
    this.#onLease(null);
    await effect();
  }
}
