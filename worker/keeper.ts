import { log } from "../cloud/log.ts";
import type { Queues } from "../cloud/queues.ts";
import { describe } from "../protocol/errors.ts";

/** The lease that a worker holds, as its keeper needs to know it; null for none. */
export type Holding = { readonly url: string; readonly receipt: string; readonly seconds: number } | null;

/**
 * Renews the lease that a worker holds, and gives it back when the worker is to stop. It lives on another thread than
 * the work: a gradient is computed in one go, and would let no timer and no signal through.
 *
 * A lease given back while its gradient is still computed or pushed does no harm: whoever takes the task next finds
 * a piece there, or creates it; it counts once.
 */
export class Keeper {
  readonly #queues: Queues;
  #holding: Holding = null;
  #timer: NodeJS.Timeout | undefined;
  #renewal: Promise<void> = Promise.resolve();
  #stopping = false;

  constructor(queues: Queues) {
    this.#queues = queues;
  }

  get holding(): Holding {
    return this.#holding;
  }

  /** What the worker holds from now on. */
  hold(holding: Holding): void {
    clearInterval(this.#timer);
    this.#holding = holding;
    if (!holding) return;
    const renew = () => {
      this.#renewal = this.#renew(holding);
    };
    if (this.#stopping) void this.giveBack();
    else this.#timer = setInterval(renew, (holding.seconds * 1000) / 3);
  }

  /** Gives back, at once, what is held and whatever else the worker takes. Never throws: a lease lapses by itself. */
  async giveBack(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#timer);
    const holding = this.#holding;
    if (!holding) return;
    this.#holding = null;
    // A renewal that SQS took after it would undo it.
    await this.#renewal;
    try {
      await this.#queues.lease(holding.url, holding.receipt, 0);
    } catch (error) {
      log("lease not given back", { error: describe(error) });
    }
  }

  async #renew(holding: NonNullable<Holding>): Promise<void> {
    try {
      const renewed = await this.#queues.lease(holding.url, holding.receipt, holding.seconds);
      if (renewed || this.#holding !== holding) return;
      clearInterval(this.#timer);
      log("lease lost", { why: "it lapsed, or the job has ended" });
    } catch (error) {
      // A lease that was given up meanwhile has nothing to report.
      if (this.#holding === holding) log("lease not renewed", { error: describe(error) });
    }
  }
}
