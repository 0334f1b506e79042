import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { z } from "zod";
import { Unrecoverable } from "../../protocol/errors.ts";

const MAX_ERROR_TEXT = 2000;

/** A process that answers each line with a line of JSON. */
export class LineProcess<T> {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #answers: AsyncIterator<string>;
  readonly #schema: z.ZodType<T>;
  /** The end of what it wrote to standard error. */
  #errors = "";

  constructor(
    command: string,
    args: readonly string[],
    env: Readonly<Record<string, string | undefined>>,
    schema: z.ZodType<T>,
  ) {
    this.#schema = schema;
    this.#child = spawn(command, args, { env: { ...env } });
    // A process that cannot be started, or has ended, gives no answer; `answer` and `ask` say so.
    this.#child.on("error", () => {});
    this.#child.stdin.on("error", () => {});
    this.#child.stderr.on("data", (text: Buffer) => {
      this.#errors = (this.#errors + text).slice(-MAX_ERROR_TEXT);
    });
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** Waits for the next answer; null once the process has ended. */
  async answer(): Promise<T | null> {
    const { value, done } = await this.#answers.next();
    return done ? null : this.#schema.parse(JSON.parse(value));
  }

  async ask(line: string): Promise<T> {
    this.#child.stdin.write(`${line}\n`);
    const answer = await this.answer();
    if (answer === null)
      throw new Unrecoverable(`the process ended before it answered ${line}: ${this.#errors}`);
    return answer;
  }

  /** Ends its input. It may answer once more. */
  end(): void {
    this.#child.stdin.end();
  }

  kill(): void {
    this.#child.kill();
  }
}
