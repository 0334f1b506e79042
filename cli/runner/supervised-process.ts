import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, fstatSync, openSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { tailOf } from "../../local/log-tail.ts";
import { awakeNow } from "../../protocol/awake-time.ts";
import { describe } from "../../protocol/errors.ts";
import { makeFolder } from "../../protocol/make-folder.ts";

export type ProcessPlan = {
  readonly name: string;
  readonly script: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The file that its output is appended to. */
  readonly log: string;
};

export type ProcessEvent =
  | { readonly kind: "died"; readonly name: string; readonly how: string }
  /** It failed at once, again and again, or cannot be started; another try will not help. */
  | { readonly kind: "gave up"; readonly name: string; readonly reason: string };

const FIRST_DELAY_MS = 200;
const MAX_DELAY_MS = 5000;
const DELAY_AFTER_SUCCESS_MS = 1000;
/** A process that lived for less has failed to start. */
const QUICK_MS = 5000;
const MAX_QUICK_FAILURES = 5;
/** More than for failures: somebody else killed it. */
const MAX_QUICK_KILLS = 20;
const TAIL_LINES = 5;
const TAIL_CHARACTERS = 2000;

/**
 * A child process that is started again when it dies. It is tied to this process by an IPC channel, at whose end it
 * exits by itself; and it has a session of its own, so that Ctrl-C in the terminal reaches only this process.
 */
export class SupervisedProcess {
  readonly #plan: ProcessPlan;
  readonly #report: (event: ProcessEvent) => void;
  #child: ChildProcess | null = null;
  #ended: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #stopping = false;
  #quick = { failures: 0, kills: 0 };
  #gaveUp = false;

  constructor(plan: ProcessPlan, report: (event: ProcessEvent) => void) {
    this.#plan = plan;
    this.#report = report;
    this.#start();
  }

  get alive(): boolean {
    return this.#child !== null;
  }

  /** Asks the process to end, and kills it after `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    this.#child?.kill("SIGTERM");
    const killer = setTimeout(() => this.kill(), graceMs);
    await this.#ended;
    clearTimeout(killer);
  }

  /** Forgets failures whose cause is gone, and starts the process if it was given up. */
  resetFailures(): void {
    this.#quick = { failures: 0, kills: 0 };
    if (this.#gaveUp && !this.#stopping) this.#start();
    this.#gaveUp = false;
  }

  /** Ends the process at once. */
  kill(): void {
    this.#stopping = true;
    clearTimeout(this.#timer);
    this.#child?.kill("SIGKILL");
  }

  #start(): void {
    try {
      this.#startWith(openLog(this.#plan.log));
    } catch (error) {
      this.#giveUp(`${this.#plan.name} cannot be started: ${describe(error)}`);
    }
  }

  #giveUp(reason: string): void {
    this.#gaveUp = true;
    this.#report({ kind: "gave up", name: this.#plan.name, reason });
  }

  #startWith(output: number): void {
    const { script, environment } = this.#plan;
    const logStart = beginLog(output);
    const started = awakeNow();
    const child = spawn(process.execPath, ["--enable-source-maps", script], {
      env: environment,
      stdio: ["ignore", output, output, "ipc"],
      detached: true,
    });
    closeSync(output);
    this.#child = child;
    this.#ended = new Promise((resolve) => {
      const end = (how: string, code: number | null) => {
        if (this.#child !== child) return;
        this.#child = null;
        endGroup(child);
        resolve();
        if (!this.#stopping) this.#again(how, code, awakeNow() - started, logStart);
      };
      child.once("error", (error) => end(error.message, -1));
      child.once("exit", (code, signal) =>
        end(signal ?? `exit status ${code}`, signal === "SIGKILL" ? null : (code ?? -1)),
      );
    });
  }

  /** @param code of the exit; null for kill -9, -1 for other signals */
  #again(how: string, code: number | null, livedMs: number, logStart: number): void {
    const { name } = this.#plan;
    if (livedMs > QUICK_MS || code === 0) this.resetFailures();
    else if (code === null) this.#quick.kills++;
    else this.#quick.failures++;
    const { failures, kills } = this.#quick;
    const why = code === null || code === 0 ? how : `${how}: ${errorOf(this.#plan.log, logStart)}`;
    if (failures >= MAX_QUICK_FAILURES || kills >= MAX_QUICK_KILLS) {
      this.#giveUp(`${name} died ${failures + kills} times in a row, ${why}`);
      return;
    }
    if (code !== 0) this.#report({ kind: "died", name, how: why });
    const delay =
      code === 0 ? DELAY_AFTER_SUCCESS_MS : FIRST_DELAY_MS * 2 ** Math.max(0, failures + kills - 1);
    this.#timer = setTimeout(() => this.#start(), Math.min(delay, MAX_DELAY_MS));
  }
}

/** Ends what a process has left behind: its session is a group of its own. */
function endGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // Nothing is left, as a rule.
  }
}

/** Opens a log for appending. Its folder may have been removed while the job ran. */
function openLog(log: string): number {
  makeFolder(dirname(log));
  return openSync(log, "a", 0o600);
}

/** Marks in a log that a process starts. Returns where in it the process begins. */
function beginLog(log: number): number {
  try {
    writeSync(log, `--- ${new Date().toISOString()} started\n`);
  } catch {
    // On a full disk the process itself fails, and its end says so.
  }
  return fstatSync(log).size;
}

/** Returns the error that a process logged before it died, or the last lines that it printed. */
function errorOf(log: string, start: number): string {
  let text: string;
  try {
    text = tailOf(log, start);
  } catch (error) {
    return `its log is gone (${describe(error)})`;
  }
  const lines = text.trim().split("\n").slice(-TAIL_LINES);
  const errors = lines.map(errorIn).filter((error) => error !== null);
  return (errors.at(-1) ?? lines.join("\n")).slice(-TAIL_CHARACTERS) || "it printed nothing";
}

/** Returns the `error` of a line of our own log; null for any other line. */
function errorIn(line: string): string | null {
  try {
    const value: unknown = JSON.parse(line);
    const error = typeof value === "object" && value !== null && "error" in value ? value.error : null;
    return typeof error === "string" ? error : null;
  } catch {
    // Not JSON: something else than our own log printed it.
    return null;
  }
}
