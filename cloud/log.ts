import { AsyncLocalStorage } from "node:async_hooks";
import { chainOf, describe, isExpected } from "../protocol/errors.ts";

export const levels = ["debug", "info", "warn", "error"] as const;
export type Level = (typeof levels)[number];

export type LogFields = Readonly<Record<string, unknown>>;

/** Fields of every log line of some work, such as its job and step. */
const context = new AsyncLocalStorage<LogFields>();

const threshold = thresholdOf(process.env.PS_LOG);

/**
 * Structured logs: one JSON line per event on stderr, which CloudWatch indexes and `ps-submit logs` shows. `PS_LOG` is
 * the lowest level that is written; default: info. A field `error` may be anything thrown.
 */
export const log = {
  debug: (event: string, fields?: LogFields) => write("debug", event, fields),
  info: (event: string, fields?: LogFields) => write("info", event, fields),
  warn: (event: string, fields?: LogFields) => write("warn", event, fields),
  error: (event: string, fields?: LogFields) => write("error", event, fields),
};

/** Adds fields to every log line of some work and of whatever it starts. An inner field replaces an outer one. */
export function withLogFields<T>(fields: LogFields, work: () => T): T {
  return context.run({ ...context.getStore(), ...fields }, work);
}

function write(level: Level, event: string, { error, ...fields }: LogFields = {}): void {
  if (levels.indexOf(level) < levels.indexOf(threshold)) return;
  const time = new Date().toISOString();
  const line = { time, level, event, ...context.getStore(), ...fields, ...errorFields(error) };
  process.stderr.write(`${JSON.stringify(line)}\n`);
}

/** An error as fields of a log line: its text, and the stacks of the whole chain of causes when it is unexpected. */
function errorFields(error: unknown): LogFields {
  if (error === undefined) return {};
  if (isExpected(error)) return { error: describe(error) };
  const stacks = chainOf(error).map((link) => (link instanceof Error && link.stack) || String(link));
  return { error: describe(error), stack: stacks.join("\ncaused by: ") };
}

function thresholdOf(wanted: string | undefined): Level {
  const level = levels.find((name) => name === wanted?.toLowerCase());
  if (level === undefined && wanted !== undefined && wanted !== "") {
    process.stderr.write(
      `PS_LOG must be one of ${levels.join(", ")}, got "${wanted}"; it is taken as info\n`,
    );
  }
  return level ?? "info";
}
