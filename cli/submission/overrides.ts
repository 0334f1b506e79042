import { Bug, InvalidInput } from "../../protocol/errors.ts";

type Json = Record<string, unknown>;

const FIELD = /^\$?[A-Za-z][A-Za-z0-9]*$/;

/**
 * Sets fields of a job: `optimizer.learningRate=1e-3`. A value is read as JSON where it is JSON, and as text elsewhere.
 * The validation of the job checks whether the field exists and takes the value.
 *
 * @throws InvalidInput for an assignment of another form
 */
export function applyOverrides(job: Json, assignments: readonly string[]): Json {
  return assignments.reduce((changed, assignment) => {
    const at = assignment.indexOf("=");
    const path = assignment.slice(0, Math.max(at, 0)).split(".");
    if (at < 0 || !path.every((field) => FIELD.test(field))) {
      throw new InvalidInput(`--set must be like steps=20 or optimizer.learningRate=1e-3, got ${assignment}`);
    }
    return withField(changed, path, parseValue(assignment.slice(at + 1)));
  }, job);
}

function withField(object: Json, path: readonly string[], value: unknown): Json {
  const [field, ...rest] = path;
  if (field === undefined) throw new Bug("an assignment must name a field");
  if (rest.length === 0) return { ...object, [field]: value };
  const inner = object[field];
  const fields = typeof inner === "object" && inner !== null && !Array.isArray(inner) ? (inner as Json) : {};
  return { ...object, [field]: withField(fields, rest, value) };
}

function parseValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
