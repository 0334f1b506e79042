import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname, join } from "node:path";

export type ContainerOptions = {
  readonly command: readonly [string, ...string[]];
  readonly environment: Readonly<Record<string, string>>;
  /** Log streams are files below this folder. */
  readonly logs: string;
  /** Name of the job definition, with which the stream's name begins. */
  readonly definition: string;
};

export type Exit = { readonly exitCode: number } | { readonly failedToStart: string };

/** A container of a job's attempt: here, a process. */
export class Container {
  readonly logStream: string;
  /** Resolves once the process is gone. */
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  #kill: NodeJS.Timeout | undefined;

  constructor({ command: [program, ...args], environment, logs, definition }: ContainerOptions) {
    this.logStream = `${definition}/default/${randomUUID().replaceAll("-", "")}`;
    const file = join(logs, this.logStream);
    mkdirSync(dirname(file), { recursive: true });
    const log = openSync(file, "a");
    this.#child = spawn(program, args, { env: environment, stdio: ["ignore", log, log] });
    closeSync(log);
    this.exited = new Promise((resolve) => {
      this.#child.once("error", ({ message }) => resolve({ failedToStart: message }));
      this.#child.once("exit", (code, signal) => resolve({ exitCode: code ?? codeOf(signal) }));
    });
    void this.exited.finally(() => clearTimeout(this.#kill));
  }

  /** SIGTERM, and SIGKILL for one that is still there after `graceMs`. */
  stop(graceMs: number): void {
    this.#child.kill("SIGTERM");
    this.#kill ??= setTimeout(() => this.kill(), graceMs);
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

const codeOf = (signal: NodeJS.Signals | null): number => (signal === "SIGKILL" ? 137 : 143);
