import { closeSync, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import { InvalidInput } from "../../protocol/errors.ts";
import { isMissing } from "../../protocol/missing.ts";
import { isEnded } from "../../protocol/records.ts";
import { listenForInterruption, sleep } from "../terminal/interruption.ts";
import { logDirectory } from "./paths.ts";
import type { LogOptions, OpenTarget } from "./target.ts";

const POLL_MS = 250;
const CHUNK_BYTES = 1 << 20;

type Logs = LogOptions & {
  readonly home: string;
  readonly job: string;
  /** Is called only to follow a job. */
  readonly open: () => Promise<OpenTarget>;
};

/** Prints the log files of a job's processes. */
export async function printLocalLogs({ home, job, process: wanted, follow, open }: Logs): Promise<void> {
  const directory = logDirectory(home, job);
  const printers = new Map<string, LogPrinter>();
  const print = () => {
    for (const name of logNames(directory, job, wanted)) {
      const printer =
        printers.get(name) ??
        new LogPrinter(join(directory, `${name}.log`), wanted === undefined ? name : "");
      printers.set(name, printer);
      printer.print();
    }
  };
  print();
  if (follow) await printUntilEnded(await open(), job, print);
}

async function printUntilEnded(target: OpenTarget, job: string, print: () => void): Promise<void> {
  const interruption = listenForInterruption();
  try {
    for (let over = false; !over && !interruption.first.aborted; ) {
      const { state } = await target.cloud.jobs.state(job);
      over = isEnded(state) && !(await target.running()).has(job);
      print();
      await sleep(POLL_MS, interruption.first);
    }
  } finally {
    interruption.close();
    target.close();
  }
}

/** @throws InvalidInput when the job has no logs, or none of the process that is wanted */
function logNames(directory: string, job: string, wanted: string | undefined): string[] {
  const names = namesIn(directory);
  if (names.length === 0) throw new InvalidInput(`there are no logs of a job named "${job}" in ${directory}`);
  if (wanted === undefined) return names;
  if (names.includes(wanted)) return [wanted];
  throw new InvalidInput(`${job} has no process ${wanted}; it has ${names.join(", ")}`);
}

function namesIn(directory: string): string[] {
  try {
    const files = readdirSync(directory).filter((file) => file.endsWith(".log"));
    return files.map((file) => file.slice(0, -".log".length)).sort();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** Prints what has been added to a file since the last time, in whole lines. */
class LogPrinter {
  readonly #file: string;
  readonly #prefix: string;
  #offset = 0;
  #rest = "";
  readonly #decoder = new TextDecoder();

  constructor(file: string, name: string) {
    this.#file = file;
    this.#prefix = name === "" ? "" : `${name.padEnd(10)} | `;
  }

  print(): void {
    const file = openSync(this.#file, "r");
    try {
      for (let size = fstatSync(file).size; this.#offset < size; ) {
        const chunk = new Uint8Array(Math.min(CHUNK_BYTES, size - this.#offset));
        this.#offset += readSync(file, chunk, 0, chunk.length, this.#offset);
        this.#write(this.#decoder.decode(chunk, { stream: true }));
      }
    } finally {
      closeSync(file);
    }
  }

  #write(text: string): void {
    const lines = (this.#rest + text).split("\n");
    // The last element is there even of an empty text.
    this.#rest = lines.pop() ?? "";
    process.stdout.write(lines.map((line) => `${this.#prefix}${line}\n`).join(""));
  }
}
