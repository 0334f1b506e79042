import { Worker } from "node:worker_threads";
import { Bug, InvalidInput, Unrecoverable } from "../../protocol/errors.ts";
import { at } from "../../protocol/required.ts";
import type { Chunk } from "./chunk.ts";
import { type AnyResult, type Pass, type ResultOf, stepOf } from "./corpus-pass.ts";

/** From a thread: the result of a chunk, or why there is none; `input` says that the text is wrong. */
export type Answer =
  | { readonly result: AnyResult }
  | { readonly problems: readonly string[]; readonly input: boolean };

type ApplyOptions = {
  readonly threads: number;
  readonly signal?: AbortSignal | undefined;
  /** Seconds for a chunk of `BYTES_A_SECOND` bytes; a larger one has as many more. @default 60 */
  readonly patience?: number;
};

const PATIENCE_SECONDS = 60;
/** Less than any tokenizer does on a machine that is busy otherwise. */
const BYTES_A_SECOND = 16 << 10;

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
  { threads, signal, patience = PATIENCE_SECONDS }: ApplyOptions,
): AsyncGenerator<ResultOf<P>> {
  const pool = threads === 0 ? inThisThread(pass) : startThreads(pass, threads, patience);
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
function startThreads(pass: Pass, count: number, patience: number): Pool {
  const threads = Array.from({ length: count }, () => new TokenizeThread(pass, patience));
  let next = 0;
  return {
    submit: (chunk) => at(threads, next++ % count, "tokenizing thread").submit(chunk),
    close: async () => {
      await Promise.all(threads.map((thread) => thread.close()));
    },
  };
}

type Waiter = {
  readonly place: string;
  /** How many seconds it may take. */
  readonly patience: number;
  resolve(result: AnyResult): void;
  reject(error: unknown): void;
};

/** A thread that answers in the order in which it was asked. */
class TokenizeThread {
  readonly #thread: Worker;
  readonly #waiting: Waiter[] = [];
  readonly #patience: number;
  readonly #clock: NodeJS.Timeout;
  /** Seconds that the oldest chunk has taken, counted while this process was awake. */
  #seconds = 0;
  #failure: unknown = null;

  constructor(pass: Pass, patience: number) {
    this.#patience = patience;
    this.#clock = setInterval(() => this.#tick(), 1000);
    this.#clock.unref();
    this.#thread = new Worker(threadFile(), { workerData: pass });
    this.#thread.on("message", (answer: Answer) => this.#settle(answer));
    this.#thread.on("error", (error) => this.#fail(error));
    this.#thread.on("exit", (code) => this.#fail(new Unrecoverable(`a tokenizing thread ended (${code})`)));
  }

  submit(chunk: Chunk): Promise<AnyResult> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const [place, seconds] = [placeOf(chunk), this.#patience + bytesOf(chunk) / BYTES_A_SECOND];
    const moved = chunk.kind === "documents" ? [] : [chunk.bytes.buffer];
    this.#thread.postMessage(chunk, moved);
    return new Promise((resolve, reject) =>
      this.#waiting.push({ place, patience: seconds, resolve, reject }),
    );
  }

  async close(): Promise<void> {
    clearInterval(this.#clock);
    this.#thread.removeAllListeners("exit");
    await this.#thread.terminate();
  }

  #settle(answer: Answer): void {
    this.#seconds = 0;
    const waiter = this.#waiting.shift();
    if (!waiter) throw new Bug("a tokenizing thread answered without being asked");
    if ("result" in answer) waiter.resolve(answer.result);
    else if (answer.input) waiter.reject(new InvalidInput(answer.problems));
    else waiter.reject(new Unrecoverable(answer.problems.join("\n")));
  }

  /** Ends a thread that takes too long: a regular expression may try more ways than there is time for. */
  #tick(): void {
    const [waiter] = this.#waiting;
    if (!waiter || ++this.#seconds <= waiter.patience) return;
    this.#fail(
      new InvalidInput(
        `tokenizer.json takes more than ${Math.floor(waiter.patience)} s for ${waiter.place}: one of its regular expressions may never end there; ` +
          "take another tokenizer, or that text out",
      ),
    );
    void this.#thread.terminate();
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    for (const waiter of this.#waiting.splice(0)) waiter.reject(error);
  }
}

const bytesOf = (chunk: Chunk): number =>
  chunk.kind === "documents"
    ? chunk.texts.reduce((sum, text) => sum + text.length, 0)
    : chunk.bytes.byteLength;

function placeOf(chunk: Chunk): string {
  if (chunk.kind === "text")
    return `${chunk.bytes.byteLength} bytes of ${chunk.name} from byte ${chunk.offset} on`;
  if (chunk.kind === "lines") return `${chunk.name} from ${chunk.unit} ${chunk.first} on`;
  const [first = ""] = chunk.texts;
  return `documents from the one that begins with ${JSON.stringify(first.slice(0, 40))} on`;
}

/** The thread's program: beside this source, or in dist/, whose chunks/ this may be bundled into. */
function threadFile(): URL {
  if (import.meta.url.endsWith(".ts")) return new URL("./tokenize-thread.ts", import.meta.url);
  const up = import.meta.url.includes("/chunks/") ? "../" : "./";
  return new URL(`${up}tokenize-thread.js`, import.meta.url);
}
