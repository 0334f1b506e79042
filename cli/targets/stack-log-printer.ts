import { InvalidInput } from "../../protocol/errors.ts";
import { isEnded, type State } from "../../protocol/records.ts";
import { required } from "../../protocol/required.ts";
import { listenForInterruption, sleep } from "../terminal/interruption.ts";
import { type LogLine, type LogQuery, StackLogs } from "./stack-logs.ts";
import type { LogOptions, StackTarget } from "./target.ts";

const POLL_MS = 2000;
/** CloudWatch shows a line some seconds after it was written, and does not keep the order between streams. */
const LATE_MS = 20_000;
/** CloudWatch takes so many streams in one query; a query for each would soon exceed its rate. */
const MAX_STREAMS = 100;
const MAX_SHOWN_NAMES = 20;

/** Lines that one query finds. `nameOf` returns the process that wrote a stream. */
type Source = { readonly nameOf: (stream: string) => string; readonly query: Omit<LogQuery, "since"> };

/** Prints what functions and workers of a stack wrote about a job, from CloudWatch; then closes the stack. */
export async function printStackLogs(
  target: StackTarget,
  job: string,
  { process: wanted, follow }: LogOptions,
): Promise<void> {
  const interruption = listenForInterruption();
  const logs = new StackLogs(target.address.environment);
  try {
    const printer = new Printer(logs, wanted === undefined);
    for (let over = false; !over && !interruption.first.aborted; ) {
      const { state } = await target.cloud.jobs.state(job);
      over = !follow || isEnded(state);
      await printer.print(await sourcesOf(target, state, wanted), Date.parse(state.createdAt));
      if (!over) await sleep(POLL_MS, interruption.first);
    }
  } finally {
    interruption.close();
    logs.close();
    target.close();
  }
}

/** Returns the functions, and the workers of the present attempt. */
async function sourcesOf(target: StackTarget, state: State, wanted?: string): Promise<Source[]> {
  const { stack, cloud } = target;
  const isWanted = (name: string) => wanted === undefined || name === wanted;
  const functions = Object.entries(stack.logs);
  const groups = (await cloud.batch?.groups(state.job, state.attempt)) ?? [];
  const members = (await Promise.all(groups.map((group) => cloud.batch?.members(group) ?? []))).flat();
  const workers = new Map<string, string>();
  for (const [number, { logStream }] of members.entries()) {
    if (logStream !== null) workers.set(logStream, `worker-${number}`);
  }
  requireProcess(state.job, [...functions.map(([name]) => name), ...workers.values()], wanted);
  const streams = [...workers].filter(([, name]) => isWanted(name)).map(([stream]) => stream);
  return [
    ...functions
      .filter(([name]) => isWanted(name))
      .map(([name, group]) => ({ nameOf: () => name, query: { group, pattern: patternOf(state.job) } })),
    ...Array.from({ length: Math.ceil(streams.length / MAX_STREAMS) }, (_, i) => ({
      nameOf: (stream: string) => workers.get(stream) ?? stream,
      query: {
        group: required(stack.workers, "the workers of the stack").logs,
        streams: streams.slice(i * MAX_STREAMS, (i + 1) * MAX_STREAMS),
      },
    })),
  ];
}

/** @throws InvalidInput for a process that the job does not have */
function requireProcess(job: string, names: readonly string[], wanted: string | undefined): void {
  if (wanted === undefined || names.includes(wanted)) return;
  const more = names.length > MAX_SHOWN_NAMES ? `, ... (${names.length} in all)` : "";
  const some = names.slice(0, MAX_SHOWN_NAMES).join(", ");
  throw new InvalidInput(`${job} has no process ${wanted}; it has ${some}${more}`);
}

/** Returns a filter for the lines of our own logs that are about a job. */
const patternOf = (job: string): string => `{ ($.job = "${job}") || ($.group = "${job}/*") }`;

/** Prints each line once: every call prints the lines that are new. */
class Printer {
  readonly #logs: StackLogs;
  readonly #named: boolean;
  readonly #printed = new Set<string>();
  #since: number | null = null;

  constructor(logs: StackLogs, named: boolean) {
    this.#logs = logs;
    this.#named = named;
  }

  async print(sources: readonly Source[], start: number): Promise<void> {
    const since = this.#since ?? start;
    this.#since = Date.now() - LATE_MS;
    const found = await Promise.all(sources.map((source) => this.#linesOf(source, since)));
    for (const { text } of found.flat().sort((a, b) => a.time - b.time)) process.stdout.write(`${text}\n`);
  }

  async #linesOf({ nameOf, query }: Source, since: number): Promise<LogLine[]> {
    const lines: LogLine[] = [];
    for await (const line of this.#logs.lines({ ...query, since })) {
      const name = nameOf(line.stream);
      const id = `${name}/${line.id}`;
      if (this.#printed.has(id)) continue;
      this.#printed.add(id);
      lines.push({ ...line, text: this.#named ? `${name.padEnd(12)} | ${line.text}` : line.text });
    }
    return lines;
  }
}
