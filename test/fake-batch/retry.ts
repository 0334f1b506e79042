import type { RetryStrategy } from "@aws-sdk/client-batch";
import { BatchError } from "./errors.ts";

/** The end of an attempt, as DescribeJobs shows it. Without an exit code its host ended together with the container. */
export type Outcome = {
  readonly statusReason: string;
  readonly reason?: string;
  readonly exitCode?: number;
};

const MAX_ATTEMPTS = 10;
const MAX_RULES = 5;
const MAX_PATTERN_LENGTH = 512;
const WORDS = /^[A-Za-z0-9.:\s]*\*?$/;
const DIGITS = /^[0-9]*\*?$/;

/**
 * True when a failed attempt is followed by another: the first rule whose conditions all hold decides, and a failure that
 * fits no rule is retried.
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

/** A pattern may end with a star. Without a pattern every text matches. */
function matches(pattern: string | undefined, text: string | undefined): boolean {
  if (pattern === undefined) return true;
  if (text === undefined) return false;
  return pattern.endsWith("*") ? text.startsWith(pattern.slice(0, -1)) : text === pattern;
}

/** @throws BatchError for what AWS Batch does not take */
export function checkRetryStrategy({ attempts, evaluateOnExit: rules = [] }: RetryStrategy): void {
  if (attempts !== undefined && !(attempts >= 1 && attempts <= MAX_ATTEMPTS))
    throw new BatchError(`retryStrategy.attempts must be from 1 to ${MAX_ATTEMPTS}, got ${attempts}`);
  if (rules.length > MAX_RULES)
    throw new BatchError(`evaluateOnExit takes at most ${MAX_RULES} rules, got ${rules.length}`);
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
  if (pattern === undefined || (pattern.length <= MAX_PATTERN_LENGTH && allowed.test(pattern))) return;
  throw new BatchError(`${name} is not a pattern that AWS Batch takes: ${JSON.stringify(pattern)}`);
}
