import { Worker } from "node:worker_threads";
import { InvalidInput, Unrecoverable } from "../../protocol/errors.ts";
import type { Piece } from "./chunks.ts";
import { type Pass, type ResultOf, stepOf } from "./corpus-pass.ts";

/** From a thread: what it made of a piece, or why it could not. */
export type Answer = { readonly result: unknown } | { readonly problems: readonly string[]; input: boolean };

/** Pieces that are read ahead, for each thread. */
const AHEAD = 2;

/**
 * Applies a pass to every piece, on `threads` threads, or in this one for 0. Results come in the order of the pieces.
 *
 * @throws what reading a piece or the pass throws, and the signal's reason when it is aborted
 */
export async function* passOver<P extends Pass>(
  pieces: AsyncIterable<Piece>,
  pass: P,
  { threads, signal }: { readonly threads: number; readonly signal?: AbortSignal | undefined },
): AsyncGenerator<ResultOf<P>> {
  const crew = threads === 0 ? inThisThread(pass) : startThreads(pass, threads);
  const waiting: Promise<unknown>[] = [];
  try {
    for await (const piece of pieces) {
      signal?.throwIfAborted();
      const result = crew.submit(piece);
      // A failure is noticed when its turn comes.
      result.catch(() => {});
      waiting.push(result);
      if (waiting.length > threads * AHEAD) yield (await waiting.shift()) as ResultOf<P>;
    }
    for (const result of waiting) {
      signal?.throwIfAborted();
      yield (await result) as ResultOf<P>;
    }
  } finally {
    await crew.close();
  }
}

type Crew = { submit(piece: Piece): Promise<unknown>; close(): Promise<void> };

function inThisThread(pass: Pass): Crew {
  const step = stepOf(pass);
  return { submit: async (piece) => step(piece), close: async () => {} };
}

function startThreads(pass: Pass, count: number): Crew {
  const members = Array.from({ length: count }, () => new Member(pass));
  let next = 0;
  return {
    submit: (piece) => (members[next++ % count] as Member).submit(piece),
    close: async () => {
      await Promise.all(members.map((member) => member.close()));
    },
  };
}

type Waiter = { resolve(result: unknown): void; reject(error: unknown): void };

/** A thread; it answers in the order in which it was asked. */
class Member {
  readonly #thread: Worker;
  readonly #waiting: Waiter[] = [];
  #broken: unknown = null;

  constructor(pass: Pass) {
    this.#thread = new Worker(threadFile(), { workerData: pass });
    this.#thread.on("message", (answer: Answer) => this.#settle(answer));
    this.#thread.on("error", (error) => this.#break(error));
    this.#thread.on("exit", (code) => this.#break(new Unrecoverable(`a tokenizing thread ended (${code})`)));
  }

  submit(piece: Piece): Promise<unknown> {
    if (this.#broken !== null) return Promise.reject(this.#broken);
    const moved = piece.kind === "documents" ? [] : [piece.bytes.buffer];
    this.#thread.postMessage(piece, moved);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  async close(): Promise<void> {
    this.#thread.removeAllListeners("exit");
    await this.#thread.terminate();
  }

  #settle(answer: Answer): void {
    const waiter = this.#waiting.shift();
    if ("result" in answer) waiter?.resolve(answer.result);
    else
      waiter?.reject(
        answer.input ? new InvalidInput(answer.problems) : new Error(answer.problems.join("\n")),
      );
  }

  #break(error: unknown): void {
    this.#broken = error;
    for (const waiter of this.#waiting.splice(0)) waiter.reject(error);
  }
}

/** The thread's program: beside this source, or in dist/, whose chunks/ this may be bundled into. */
function threadFile(): URL {
  if (import.meta.url.endsWith(".ts")) return new URL("./tokenize-thread.ts", import.meta.url);
  const up = import.meta.url.includes("/chunks/") ? "../" : "./";
  return new URL(`${up}tokenize-thread.js`, import.meta.url);
}
