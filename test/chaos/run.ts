import { createHash } from "node:crypto";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { describe, InvalidInput } from "../../protocol/errors.ts";
import { at, required } from "../../protocol/required.ts";
import { type JobName, jobNames } from "./jobs.ts";
import { calmTrial, describeFaults, type Kind, kinds, planTrial, type Trial } from "./plan.ts";
import { logsOf, type Outcome, runTrial } from "./trial.ts";

/**
 * Runs trials of every kind of fault (`npm run chaos -- --trials 1000`) and prints a table of them. Each trial's job must
 * end with the bytes that it has without a fault. The log has a line of JSON for each trial.
 */

type Options = {
  readonly trials: number;
  readonly seed: string;
  readonly kinds: readonly Kind[];
  readonly job: JobName | undefined;
  readonly side: number;
  readonly log: string;
};

type Result = {
  readonly trial: Trial;
  readonly outcome: Outcome | null;
  readonly failure: string | null;
  readonly ms: number;
};

const USAGE = `npm run chaos -- [--trials 200] [--seed 1] [--kind ${kinds.join("|")}]... [--job ${jobNames.join("|")}] [--side 2] [--log FILE]`;

function parseOptions(): Options {
  const { values } = parseArgs({
    options: {
      trials: { type: "string", default: "200" },
      seed: { type: "string", default: "1" },
      kind: { type: "string", multiple: true, default: [...kinds] },
      job: { type: "string" },
      side: { type: "string", default: String(Math.min(2, availableParallelism())) },
      log: { type: "string" },
    },
  });
  const seed = values.seed;
  return {
    trials: whole("--trials", values.trials),
    seed,
    kinds: values.kind.map((kind) => oneOf("--kind", kinds, kind)),
    job: values.job === undefined ? undefined : oneOf("--job", jobNames, values.job),
    side: whole("--side", values.side),
    log: values.log ?? join(tmpdir(), `ps-chaos-${seed}.log`),
  };
}

function whole(name: string, text: string): number {
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw new InvalidInput(`${name} must be a whole number of at least 1, got ${text}\n${USAGE}`);
}

function oneOf<T extends string>(name: string, allowed: readonly T[], text: string): T {
  const found = allowed.find((value) => value === text);
  if (found === undefined)
    throw new InvalidInput(`${name} must be one of ${allowed.join(", ")}, got ${text}`);
  return found;
}

async function main(): Promise<number> {
  const options = parseOptions();
  writeFileSync(options.log, "");
  const calm = await calmDigests(options);
  const results: Result[] = [];
  let next = 0;
  // The trials in hand are ended, and the table is of those that were run.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => (next = options.trials));
  const lane = async () => {
    for (let i = next++; i < options.trials; i = next++) {
      const kind = at(options.kinds, i % options.kinds.length, "a kind");
      const result = await tryTrial(planTrial(seedOf(options, i), kind, options.job), calm);
      results.push(result);
      appendFileSync(options.log, `${JSON.stringify(lineOf(result))}\n`);
      if (result.failure !== null) report(result);
      progress(results, options);
    }
  };
  await Promise.all(Array.from({ length: options.side }, lane));
  return summarize(results, options);
}

/** A trial alone is drawn by the seed itself, so that one of many can be repeated by the seed in its line of the log. */
const seedOf = ({ seed, trials }: Options, i: number): string => (trials === 1 ? seed : `${seed}-${i}`);

/** The digests that jobs have without a fault. */
async function calmDigests({ job }: Options): Promise<ReadonlyMap<JobName, string>> {
  const digests = new Map<JobName, string>();
  for (const name of job === undefined ? jobNames : [job]) {
    const { digest } = await runTrial(calmTrial(name));
    console.log(`calm: ${name} ends with ${digest}`);
    digests.set(name, digest);
  }
  return digests;
}

async function tryTrial(trial: Trial, calm: ReadonlyMap<JobName, string>): Promise<Result> {
  const start = performance.now();
  const ms = () => Math.round(performance.now() - start);
  try {
    const outcome = await runTrial(trial);
    const expected = required(calm.get(trial.job), `the digest of ${trial.job}`);
    const failure = outcome.digest === expected ? null : `ended with ${outcome.digest}, not with ${expected}`;
    return { trial, outcome, failure, ms: ms() };
  } catch (error) {
    return { trial, outcome: null, failure: describe(error), ms: ms() };
  }
}

const lineOf = ({ trial: { kind, seed, job, faults }, outcome, failure, ms }: Result) => ({
  time: new Date().toISOString(),
  kind,
  seed,
  job,
  faults,
  failure,
  ...outcome,
  ms,
});

function report({ trial, failure }: Result): void {
  const { kind, seed, job, faults } = trial;
  console.log(`\nFAILED ${kind} ${seed} (${job}; ${describeFaults(faults)}): ${failure}`);
  console.log(`  its logs are in ${logsOf(trial)}`);
}

function progress(results: readonly Result[], { trials }: Options): void {
  const failed = results.filter(({ failure }) => failure !== null).length;
  const line = `${results.length} of ${trials} trials, ${failed} failed`;
  if (process.stdout.isTTY) process.stdout.write(`\r${line}`);
  else if (results.length % 25 === 0) console.log(line);
}

/** Prints a row for each kind, and the log's digest. @returns the exit code */
function summarize(results: readonly Result[], { log, seed }: Options): number {
  const row = (kind: string, of: readonly Result[]) => ({
    kind,
    trials: of.length,
    "calm digest": of.filter(({ failure }) => failure === null).length,
    failed: of.filter(({ failure }) => failure !== null).length,
    resumed: of.filter(({ outcome }) => (outcome?.ends.length ?? 0) > 1).length,
    "faults met": of.flatMap(({ outcome }) => Object.values(outcome?.met ?? {})).reduce((a, b) => a + b, 0),
    "seconds each": Math.round(of.reduce((sum, { ms }) => sum + ms, 0) / of.length / 100) / 10,
  });
  const byKind = Map.groupBy(results, ({ trial }) => trial.kind);
  const rows = kinds.flatMap((kind) => {
    const of = byKind.get(kind);
    return of ? [row(kind, of)] : [];
  });
  console.log();
  console.table([...rows, row("all", results)]);
  console.log(`seed ${seed}; the log ${log} has the SHA-256 ${digestOf(log)}`);
  return results.every(({ failure }) => failure === null) ? 0 : 1;
}

const digestOf = (file: string): string => createHash("sha256").update(readFileSync(file)).digest("hex");

process.exitCode = await main().catch((error: unknown) => {
  if (!(error instanceof InvalidInput)) throw error;
  console.error(error.message);
  return 2;
});
