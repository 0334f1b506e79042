import type { RetryStrategy } from "@aws-sdk/client-batch";
import { BatchError } from "./errors.ts";

/** How an attempt ended, as DescribeJobs tells it. No exit code: the host went away with the container. */
export type Outcome = {
  readonly statusReason: string;
  readonly reason?: string;
  readonly exitCode?: number;
};

const MOST_ATTEMPTS = 10;
const MOST_RULES = 5;
const LONGEST_PATTERN = 512;
const WORDS = /^[A-Za-z0-9.:\s]*\*?$/;
const DIGITS = /^[0-9]*\*?$/;

/**
 * Whether a failed attempt is followed by another: the first rule whose conditions all hold decides, and a failure
 * that no rule speaks of is tried again.
 *
 * @param attempts how many have ended, this one included
 */
export function isRetried(strategy: RetryStrategy, attempts: number, outcome: Outcome): boolean {
  if (attempts >= (strategy.attempts ?? 1)) return false;
  const rule = strategy.evaluateOnExit?.find(
    ({ onStatusReason, onReason, onExitCode }) =>
      matches(onStatusReason, outcome.statusReason) &&
      matches(onReason, outcome.reason ?? "") &&
      matches(onExitCode, outcome.exitCode?.toString()),
  );
  return rule?.action?.toUpperCase() !== "EXIT";
}

/** A pattern may end with a star. One that was not given holds always. */
function matches(pattern: string | undefined, text: string | undefined): boolean {
  if (pattern === undefined) return true;
  if (text === undefined) return false;
  return pattern.endsWith("*") ? text.startsWith(pattern.slice(0, -1)) : text === pattern;
}

/** @throws BatchError for what AWS Batch does not take */
export function checkRetryStrategy({ attempts, evaluateOnExit: rules = [] }: RetryStrategy): void {
  if (attempts !== undefined && !(attempts >= 1 && attempts <= MOST_ATTEMPTS))
    throw new BatchError(`retryStrategy.attempts must be from 1 to ${MOST_ATTEMPTS}, got ${attempts}`);
  if (rules.length > MOST_RULES)
    throw new BatchError(`evaluateOnExit takes at most ${MOST_RULES} rules, got ${rules.length}`);
  if (rules.length > 0 && attempts === undefined)
    throw new BatchError("evaluateOnExit needs retryStrategy.attempts");
  for (const { action, onStatusReason, onReason, onExitCode } of rules) {
    if (!/^(retry|exit)$/i.test(action ?? ""))
      throw new BatchError(`an evaluateOnExit action must be RETRY or EXIT, got ${action}`);
    checkPattern("onStatusReason", onStatusReason, WORDS);
    checkPattern("onReason", onReason, WORDS);
    checkPattern("onExitCode", onExitCode, DIGITS);
  }
}

function checkPattern(name: string, pattern: string | undefined, allowed: RegExp): void {
  if (pattern === undefined || (pattern.length <= LONGEST_PATTERN && allowed.test(pattern))) return;
  throw new BatchError(`${name} is not a pattern that AWS Batch takes: ${JSON.stringify(pattern)}`);
}
