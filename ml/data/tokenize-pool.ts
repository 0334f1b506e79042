import { Worker } from "node:worker_threads";
import { Bug, InvalidInput, Unrecoverable } from "../../protocol/errors.ts";
import { at } from "../../protocol/required.ts";
import type { Chunk } from "./chunk.ts";
import { type AnyResult, type Pass, type ResultOf, stepOf } from "./corpus-pass.ts";

/** From a thread: the result of a chunk, or why there is none; `input` says that the text is wrong. */
export type Answer =
  | { readonly result: AnyResult }
  | { readonly problems: readonly string[]; readonly input: boolean };

/** Chunks that are read ahead, for each thread. */
const MAX_AHEAD = 2;

/**
 * Applies a pass to every chunk, on `threads` threads, or in this one for 0. Results come in the order of the chunks.
 *
 * @throws what reading a chunk or the pass throws, and the signal's reason when it is aborted
 */
export async function* applyPass<P extends Pass>(
  chunks: AsyncIterable<Chunk>,
  pass: P,
  { threads, signal }: { readonly threads: number; readonly signal?: AbortSignal | undefined },
): AsyncGenerator<ResultOf<P>> {
  const pool = threads === 0 ? inThisThread(pass) : startThreads(pass, threads);
  const pending: Promise<AnyResult>[] = [];
  try {
    for await (const chunk of chunks) {
      signal?.throwIfAborted();
      const result = pool.submit(chunk);
      // A failure is thrown when its turn comes.
      result.catch(() => {});
      pending.push(result);
      if (pending.length > threads * MAX_AHEAD) yield (await pending.shift()) as ResultOf<P>;
    }
    for (const result of pending) {
      signal?.throwIfAborted();
      yield (await result) as ResultOf<P>;
    }
  } finally {
    await pool.close();
  }
}

type Pool = { submit(chunk: Chunk): Promise<AnyResult>; close(): Promise<void> };

function inThisThread(pass: Pass): Pool {
  const step = stepOf(pass);
  return { submit: async (chunk) => step(chunk), close: async () => {} };
}

/** Chunks are of about the same size, so the threads take turns. */
function startThreads(pass: Pass, count: number): Pool {
  const threads = Array.from({ length: count }, () => new TokenizeThread(pass));
  let next = 0;
  return {
    submit: (chunk) => at(threads, next++ % count, "tokenizing thread").submit(chunk),
    close: async () => {
      await Promise.all(threads.map((thread) => thread.close()));
    },
  };
}

type Waiter = { resolve(result: AnyResult): void; reject(error: unknown): void };

/** A thread that answers in the order in which it was asked. */
class TokenizeThread {
  readonly #thread: Worker;
  readonly #waiting: Waiter[] = [];
  #failure: unknown = null;

  constructor(pass: Pass) {
    this.#thread = new Worker(threadFile(), { workerData: pass });
    this.#thread.on("message", (answer: Answer) => this.#settle(answer));
    this.#thread.on("error", (error) => this.#fail(error));
    this.#thread.on("exit", (code) => this.#fail(new Unrecoverable(`a tokenizing thread ended (${code})`)));
  }

  submit(chunk: Chunk): Promise<AnyResult> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const moved = chunk.kind === "documents" ? [] : [chunk.bytes.buffer];
    this.#thread.postMessage(chunk, moved);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  async close(): Promise<void> {
    this.#thread.removeAllListeners("exit");
    await this.#thread.terminate();
  }

  #settle(answer: Answer): void {
    const waiter = this.#waiting.shift();
    if (!waiter) throw new Bug("a tokenizing thread answered without being asked");
    if ("result" in answer) waiter.resolve(answer.result);
    else if (answer.input) waiter.reject(new InvalidInput(answer.problems));
    else waiter.reject(new Unrecoverable(answer.problems.join("\n")));
  }

  #fail(error: unknown): void {
    this.#failure = error;
    for (const waiter of this.#waiting.splice(0)) waiter.reject(error);
  }
}

/** The thread's program: beside this source, or in dist/, whose chunks/ this may be bundled into. */
function threadFile(): URL {
  if (import.meta.url.endsWith(".ts")) return new URL("./tokenize-thread.ts", import.meta.url);
  const up = import.meta.url.includes("/chunks/") ? "../" : "./";
  return new URL(`${up}tokenize-thread.js`, import.meta.url);
}
