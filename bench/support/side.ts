import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { threadEnvironment } from "../../ml/tensorflow/tensorflow.ts";

/** What a side says: `ready` once, then an answer to each line. */
type Answer = { ready?: string; ms?: number[]; matmul?: number; peakMb?: number };

/** A process that answers each line with a line of JSON. */
export class Side {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #answers: AsyncIterator<string>;

  constructor([command = "", ...args]: readonly string[], threads: number) {
    const env = { ...process.env, ...threadEnvironment(threads) };
    this.#child = spawn(command, args, { env });
    this.#child.on("error", () => {});
    this.#child.stdin.on("error", () => {});
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** The next answer; undefined once the process has ended. */
  async answer(): Promise<Answer | undefined> {
    const { value, done } = await this.#answers.next();
    return done ? undefined : JSON.parse(value);
  }

  async ask(line: string): Promise<Answer> {
    this.#child.stdin.write(`${line}\n`);
    const answer = await this.answer();
    if (!answer) throw new Error(`the process ended while it was asked ${line}`);
    return answer;
  }

  /** Its peak memory in MB. */
  async end(): Promise<number> {
    this.#child.stdin.end();
    return (await this.answer())?.peakMb ?? Number.NaN;
  }
}
