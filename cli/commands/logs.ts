import { closeSync, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import { InvalidInput } from "../../protocol/errors.ts";
import { isEnded } from "../../protocol/records.ts";
import { homeOf, placeOf } from "../targets/address.ts";
import { logDirectory } from "../targets/paths.ts";
import { openExisting } from "../targets/target.ts";
import { exitCodes } from "../terminal/exit.ts";
import { listenForInterruption, pause } from "../terminal/interruption.ts";

const LOOK_MS = 250;
const CHUNK_BYTES = 1 << 20;

/** `ps-submit logs JOB [PROCESS]`: what the job's processes printed; with `--follow`, until the job has ended. */
export async function logs(
  job: string,
  process_: string | undefined,
  options: { readonly follow?: boolean | undefined },
): Promise<number> {
  const place = placeOf();
  if (place.kind === "stack") {
    const { logsOfStack } = await import("../targets/stack-log-command.ts");
    return logsOfStack(place.name, job, process_, options);
  }
  const directory = logDirectory(homeOf(place), job);
  const printers = new Map<string, LogPrinter>();
  const print = () => {
    for (const name of logNames(directory, job, process_)) {
      const printer =
        printers.get(name) ?? new LogPrinter(join(directory, `${name}.log`), process_ ? "" : name);
      printers.set(name, printer);
      printer.print();
    }
  };
  print();
  if (options.follow) await follow(job, print);
  return exitCodes.succeeded;
}

async function follow(job: string, print: () => void): Promise<void> {
  const target = await openExisting();
  const interruption = listenForInterruption();
  try {
    for (let over = false; !over && !interruption.first.aborted; ) {
      const { state } = await target.cloud.jobs.state(job);
      over = isEnded(state) && !(await target.running()).has(job);
      print();
      await pause(LOOK_MS, interruption.first);
    }
  } finally {
    interruption.close();
    target.close();
  }
}

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
  } catch {
    return [];
  }
}

/** Prints what has been added to a file since the last time, in whole lines. */
class LogPrinter {
  readonly #file: string;
  readonly #prefix: string;
  #at = 0;
  #rest = "";
  readonly #decoder = new TextDecoder();

  constructor(file: string, name: string) {
    this.#file = file;
    this.#prefix = name === "" ? "" : `${name.padEnd(10)} | `;
  }

  print(): void {
    const file = openSync(this.#file, "r");
    try {
      for (let size = fstatSync(file).size; this.#at < size; ) {
        const chunk = new Uint8Array(Math.min(CHUNK_BYTES, size - this.#at));
        this.#at += readSync(file, chunk, 0, chunk.length, this.#at);
        this.#write(this.#decoder.decode(chunk, { stream: true }));
      }
    } finally {
      closeSync(file);
    }
  }

  #write(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    process.stdout.write(lines.map((line) => `${this.#prefix}${line}\n`).join(""));
  }
}
