import { Worker } from "node:worker_threads";
import { log } from "../cloud/log.ts";
import type { Queues, Received } from "../cloud/queues.ts";
import type { Holding } from "./lease-thread.ts";

/** A task in hand. It stays this worker's until it is acknowledged, given back, or the worker falls silent. */
export type Lease = Received & {
  /** The task's effect is in S3. */
  acknowledge(): Promise<void>;
  /** Another worker may have it, after `seconds`. */
  giveBack(seconds: number): Promise<void>;
};

/** The lease of a worker, at most one at a time, renewed by a thread. */
export class Leases {
  readonly #queues: Queues;
  readonly #thread: Worker;
  readonly #url: string;
  readonly #seconds: number;
  #held: Lease | null = null;

  private constructor(queues: Queues, thread: Worker, url: string, seconds: number) {
    this.#queues = queues;
    this.#thread = thread;
    this.#url = url;
    this.#seconds = seconds;
  }

  /** @param env what `connect` takes, for the thread's own client */
  static async open(queues: Queues, url: string, env: NodeJS.ProcessEnv): Promise<Leases> {
    const file = import.meta.url.endsWith(".ts") ? "./lease-thread.ts" : "./lease-thread.js";
    const thread = new Worker(new URL(file, import.meta.url), { workerData: { ...env } });
    thread.on("message", (error: string) => log("lease not renewed", { error }));
    thread.on("error", (error) => {
      // Without renewal every long task would be done twice; a new process is cheaper.
      throw error;
    });
    thread.unref();
    return new Leases(queues, thread, url, await queues.leaseSeconds(url));
  }

  /** Waits for the next task, as `Queues.receive` does. */
  async take(signal: AbortSignal): Promise<Lease | null | "gone"> {
    const received = await this.#queues.receive(this.#url, signal);
    if (received === null || received === "gone") return received;
    const { receipt } = received;
    this.#renew({ url: this.#url, receipt, seconds: this.#seconds });
    this.#held = {
      ...received,
      acknowledge: () => this.#settle(() => this.#queues.acknowledge(this.#url, receipt)),
      giveBack: (seconds) => this.#settle(() => this.#queues.lease(this.#url, receipt, seconds)),
    };
    return this.#held;
  }

  /** Gives back what is in hand, at once. */
  async giveBackHeld(): Promise<void> {
    await this.#held?.giveBack(0);
  }

  async #settle(effect: () => Promise<void>): Promise<void> {
    this.#renew(null);
    this.#held = null;
    await effect();
  }

  #renew(holding: Holding): void {
    this.#thread.postMessage(holding);
  }

  async close(): Promise<void> {
    await this.#thread.terminate();
  }
}
