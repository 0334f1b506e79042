import type { ServerResponse } from "node:http";

/** The connections that keep the emulator running, one for each session. A session may claim a job. */
export class Sessions {
  /** The job that each open session has claimed, if any. */
  readonly #claims = new Map<ServerResponse, string | undefined>();
  readonly #graceMs: number;
  readonly #onIdle: () => void;
  #timer: NodeJS.Timeout | undefined;

  /** Calls `onIdle` once no session has been open for the grace time. */
  constructor(graceMs: number, onIdle: () => void) {
    this.#graceMs = graceMs;
    this.#onIdle = onIdle;
    this.restartGrace();
  }

  /** The jobs that open sessions have claimed. */
  claims(): string[] {
    return [...this.#claims.values()].filter((job) => job !== undefined);
  }

  /** Opens a session until the connection of its response closes; false when the job is claimed already. */
  open(response: ServerResponse, job: string | undefined): boolean {
    if (job !== undefined && this.claims().includes(job)) return false;
    this.#claims.set(response, job);
    clearTimeout(this.#timer);
    response.once("close", () => {
      this.#claims.delete(response);
      this.restartGrace();
    });
    return true;
  }

  /** Starts the grace time again: a client that asks for something may open a session next. */
  restartGrace(): void {
    clearTimeout(this.#timer);
    if (this.#claims.size === 0) this.#timer = setTimeout(this.#onIdle, this.#graceMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
