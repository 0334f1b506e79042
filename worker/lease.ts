import type { Queues, Received } from "../cloud/queues.ts";
import type { Holding } from "./keeper.ts";

/** A task in hand. It stays this worker's until it is acknowledged, given back, or the worker falls silent. */
export type Lease = Received & {
  /** The task's effect is in S3. */
  acknowledge(): Promise<void>;
  /** Another worker may have it, after `seconds`. */
  giveBack(seconds: number): Promise<void>;
};

/** The lease of a worker, at most one at a time. Its keeper is told of it, and renews it. */
export class Leases {
  readonly #queues: Queues;
  readonly #url: string;
  readonly #seconds: number;
  readonly #keep: (holding: Holding) => void;

  private constructor(queues: Queues, url: string, seconds: number, keep: (holding: Holding) => void) {
    this.#queues = queues;
    this.#url = url;
    this.#seconds = seconds;
    this.#keep = keep;
  }

  /** @param keep tells the worker's `Keeper` */
  static async open(queues: Queues, url: string, keep: (holding: Holding) => void): Promise<Leases> {
    return new Leases(queues, url, await queues.leaseSeconds(url), keep);
  }

  /** Waits for the next task, as `Queues.receive` does. */
  async take(signal: AbortSignal): Promise<Lease | null | "gone"> {
    const received = await this.#queues.receive(this.#url, signal);
    if (received === null || received === "gone") return received;
    const { receipt } = received;
    this.#keep({ url: this.#url, receipt, seconds: this.#seconds });
    return {
      ...received,
      acknowledge: () => this.#settle(() => this.#queues.acknowledge(this.#url, receipt)),
      giveBack: (seconds) => this.#settle(() => this.#queues.lease(this.#url, receipt, seconds)),
    };
  }

  async #settle(effect: () => Promise<unknown>): Promise<void> {
    this.#keep(null);
    await effect();
  }
}
