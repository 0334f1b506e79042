import type { z } from "zod";
import { FAMILY_NAMES } from "./model-spec.ts";

type Issue = z.core.$ZodIssue;

/** What a schema found wrong, in words: field, rule, and the value got. */
export function problemsOf(issue: Issue): string[] {
  const field = issue.path.join(".");
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => unknownField([field, key].filter(Boolean).join(".")));
  }
  const input =
    issue.code === "invalid_union" && "discriminator" in issue
      ? get(issue.input, issue.path.at(-1))
      : issue.input;
  if (input === undefined) return [`${field} is required${expectation(issue)}`];
  return [`${field || "the job"} ${rule(issue)}, got ${show(input)}`];
}

/** Fields that some kinds of a thing have, and others can't. */
const LIMITED: Readonly<Record<string, string>> = {
  "model.recompute": `must only be set for a model of blocks (${FAMILY_NAMES.map((name) => `"${name}"`).join(", ")}, or one from a directory)`,
};

const unknownField = (path: string): string => `${path} ${LIMITED[path] ?? "is not a known field"}`;

/** What stands at the discriminating field of a union's input: zod reports the whole object. */
const get = (input: unknown, key: PropertyKey | undefined): unknown =>
  key !== undefined && typeof input === "object" && input !== null
    ? (input as Record<PropertyKey, unknown>)[key]
    : input;

const expectation = (issue: Issue): string => (issue.code === "invalid_type" ? ` (${issue.expected})` : "");

function rule(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return `must be ${issue.expected === "int" ? "a whole number" : `of type ${issue.expected}`}`;
    case "too_small":
      return `must be ${issue.inclusive === false ? "more than" : "at least"} ${issue.minimum}`;
    case "too_big":
      return `must be ${issue.inclusive === false ? "less than" : "at most"} ${issue.maximum}`;
    case "invalid_value":
      return `must be ${quoted(issue.values)}`;
    case "invalid_union":
      return "options" in issue ? `must be ${quoted(issue.options ?? [])}` : issue.message;
    default:
      return issue.message;
  }
}

/** Values as a choice: `"a" or "b"`. */
export const quoted = (values: readonly unknown[]): string =>
  values
    .filter((value) => value !== undefined)
    .map((value) => JSON.stringify(value, (_, v) => (typeof v === "bigint" ? String(v) : v)))
    .join(" or ");

const show = (value: unknown): string => {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
};
