import type { ServerResponse } from "node:http";

/** The connections that keep the emulator running. Each stands for a process; a named one is the only of its name. */
export class Holds {
  readonly #open = new Map<ServerResponse, string | undefined>();
  readonly #graceMs: number;
  readonly #onIdle: () => void;
  #timer: NodeJS.Timeout | undefined;

  /** Calls `onIdle` once no hold has been open for the grace time. */
  constructor(graceMs: number, onIdle: () => void) {
    this.#graceMs = graceMs;
    this.#onIdle = onIdle;
    this.renew();
  }

  /** The names held; an anonymous hold has none. */
  names(): string[] {
    return [...this.#open.values()].filter((name) => name !== undefined);
  }

  /** Opens a hold until the connection of its response closes; false when the name is taken. */
  open(response: ServerResponse, name: string | undefined): boolean {
    if (name !== undefined && this.names().includes(name)) return false;
    this.#open.set(response, name);
    clearTimeout(this.#timer);
    response.once("close", () => {
      this.#open.delete(response);
      this.renew();
    });
    return true;
  }

  /** Starts the grace time again: somebody is about to open a hold. */
  renew(): void {
    clearTimeout(this.#timer);
    if (this.#open.size === 0) this.#timer = setTimeout(this.#onIdle, this.#graceMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
