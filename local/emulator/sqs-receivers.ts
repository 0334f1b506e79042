import { findNextVisible, type Message, take } from "./sqs-messages.ts";
import { noSuchQueue, type Queue, requireQueue } from "./sqs-queues.ts";
import type { Store } from "./store.ts";

/** A ReceiveMessage call; `gone` fires when its client disconnects without the answer. */
export type Receive = {
  readonly max: number;
  readonly visibilityMs: number;
  readonly waitMs: number;
  readonly gone: AbortSignal;
};

type Waiter = {
  readonly max: number;
  readonly visibilityMs: number;
  readonly deadline: number;
  readonly resolve: (messages: readonly Message[]) => void;
  readonly reject: (error: unknown) => void;
};

/** The receivers that wait at a queue, in the order in which they came. */
type Line = {
  readonly queue: Queue;
  waiters: Waiter[];
  timer?: NodeJS.Timeout;
  serving: boolean;
  again: boolean;
};

type Served = { readonly waiter: Waiter; readonly messages: readonly Message[] };

/** The receivers of every queue. One that finds no message waits in line; the first to come is the first to be served. */
export class Receivers {
  readonly #store: Store;
  readonly #now: () => number;
  readonly #lines = new Map<number, Line>();

  constructor(store: Store, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** Resolves with messages as soon as there are some, or with none once the wait is over. */
  receive(queue: Queue, { max, visibilityMs, waitMs, gone }: Receive): Promise<readonly Message[]> {
    if (gone.aborted) return Promise.resolve([]);
    const line = this.#lineOf(queue);
    const { promise, resolve, reject } = Promise.withResolvers<readonly Message[]>();
    const waiter = { max, visibilityMs, deadline: this.#now() + waitMs, resolve, reject };
    line.waiters.push(waiter);
    gone.addEventListener("abort", () => {
      line.waiters = line.waiters.filter((other) => other !== waiter);
      resolve([]);
    });
    this.wake(queue.id);
    return promise;
  }

  /** Serves those in line, if there are messages for them. Must be called after every change to a queue. */
  wake(queueId: number): void {
    const line = this.#lines.get(queueId);
    if (!line || line.waiters.length === 0) return;
    line.again = line.serving;
    if (line.serving) return;
    line.serving = true;
    this.#store
      .write(() => this.#serve(line), { durable: false })
      .then(
        ({ served, dead }) => this.#served(line, served, dead),
        (error: unknown) => this.#failed(line, error),
      );
  }

  /** Fails those in the line of a queue that was deleted. */
  close(queueId: number): void {
    const line = this.#lines.get(queueId);
    this.#lines.delete(queueId);
    if (line) this.#reject(line, noSuchQueue());
  }

  /** Stops all timers, at the end of the process. */
  stop(): void {
    for (const { timer } of this.#lines.values()) clearTimeout(timer);
    this.#lines.clear();
  }

  #lineOf(queue: Queue): Line {
    const line = this.#lines.get(queue.id) ?? { queue, waiters: [], serving: false, again: false };
    this.#lines.set(queue.id, line);
    return line;
  }

  #serve(line: Line): { served: Served[]; dead: Set<number> } {
    const now = this.#now();
    const queue = requireQueue(this.#store, line.queue.name);
    const served: Served[] = [];
    const dead = new Set<number>();
    for (const waiter of line.waiters) {
      const taken = take(this.#store, queue, { max: waiter.max, visibilityMs: waiter.visibilityMs, now });
      if (taken.dead !== undefined) dead.add(taken.dead);
      if (taken.messages.length === 0) break;
      served.push({ waiter, messages: taken.messages });
    }
    return { served, dead };
  }

  #served(line: Line, served: readonly Served[], dead: ReadonlySet<number>): void {
    const now = this.#now();
    const expired = (waiter: Waiter) => waiter.deadline <= now;
    const answered = new Set(served.map(({ waiter }) => waiter));
    for (const { waiter, messages } of served) waiter.resolve(messages);
    const left = line.waiters.filter((waiter) => !answered.has(waiter));
    for (const waiter of left.filter(expired)) waiter.resolve([]);
    line.waiters = left.filter((waiter) => !expired(waiter));
    line.serving = false;
    for (const queueId of dead) this.wake(queueId);
    if (line.again) this.wake(line.queue.id);
    else this.#setTimer(line);
  }

  #failed(line: Line, error: unknown): void {
    line.serving = false;
    this.#reject(line, error);
  }

  #reject(line: Line, error: unknown): void {
    clearTimeout(line.timer);
    for (const { reject } of line.waiters.splice(0)) reject(error);
  }

  /** Wakes the line when a wait is over or a message becomes visible, whichever is first. */
  #setTimer(line: Line): void {
    clearTimeout(line.timer);
    if (line.waiters.length === 0) return;
    const now = this.#now();
    const times = line.waiters.map(({ deadline }) => deadline);
    const at = Math.min(
      ...times,
      findNextVisible(this.#store, line.queue.id, now) ?? Number.POSITIVE_INFINITY,
    );
    line.timer = setTimeout(() => this.wake(line.queue.id), Math.max(at - now, 1));
  }
}
