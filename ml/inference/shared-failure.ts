import { describe, Unrecoverable } from "../../protocol/errors.ts";

const MAX_BYTES = 1000;
/** The first word: whether there is a failure; the second: the bytes of its text. */
const [STATE, LENGTH] = [0, 1];
const TEXT = 8;
const [NONE, BEING_WRITTEN, WRITTEN] = [0, 1, 2];
const WRITING_MS = 1000;

/** The reason why the first of some threads failed, in memory that all of them see. */
export class SharedFailure {
  readonly words: Int32Array<SharedArrayBuffer>;

  /** @param words of the failure as another thread has it */
  constructor(words = new Int32Array(new SharedArrayBuffer(TEXT + MAX_BYTES))) {
    this.words = words;
  }

  get happened(): boolean {
    return Atomics.load(this.words, STATE) !== NONE;
  }

  /** Records the reason. A later failure, which this one may have caused, changes nothing. */
  record(error: unknown): void {
    const { words } = this;
    if (Atomics.compareExchange(words, STATE, NONE, BEING_WRITTEN) !== NONE) return;
    const text = new TextEncoder().encode(describe(error)).subarray(0, MAX_BYTES);
    new Uint8Array(words.buffer).set(text, TEXT);
    Atomics.store(words, LENGTH, text.length);
    Atomics.store(words, STATE, WRITTEN);
    Atomics.notify(words, STATE);
  }

  /** @throws Unrecoverable with the recorded reason */
  check(): void {
    const { words } = this;
    if (!this.happened) return;
    Atomics.wait(words, STATE, BEING_WRITTEN, WRITING_MS);
    // TextDecoder takes no shared memory.
    const text = new Uint8Array(words.buffer).slice(TEXT, TEXT + Atomics.load(words, LENGTH));
    throw new Unrecoverable(
      `a thread that computes the model has failed: ${new TextDecoder().decode(text)}; load the model again`,
    );
  }
}
