import { Bug, InvalidInput } from "../../protocol/errors.ts";

type Json = Record<string, unknown>;

const FIELD = /^\$?[A-Za-z][A-Za-z0-9]*$/;

/** A field of a job and its new value, as it was written. */
type Assignment = { readonly path: readonly string[]; readonly text: string };

/**
 * Sets fields of a job: `optimizer.learningRate=1e-3`. A value is read as JSON where it is JSON and the field takes it,
 * and as text elsewhere: `name=2024` is a text.
 *
 * @param validate tells whether the job is right
 * @throws InvalidInput for an assignment of another form, and what `validate` throws
 */
export function withAssignments<T>(job: Json, assignments: readonly string[], validate: (job: Json) => T): T {
  const written = assignments.map(parseAssignment);
  const scalars = written.filter(({ text }) => isScalar(parseValue(text)));
  const texts = new Set<Assignment>();
  let problems = problemsWith(written, texts);
  for (const scalar of scalars) {
    if (problems === 0) break;
    const fewer = problemsWith(written, new Set([...texts, scalar]));
    if (fewer >= problems) continue;
    texts.add(scalar);
    problems = fewer;
  }
  return validate(apply(job, written, texts));

  function problemsWith(all: readonly Assignment[], asText: ReadonlySet<Assignment>): number {
    try {
      validate(apply(job, all, asText));
      return 0;
    } catch (error) {
      if (error instanceof InvalidInput) return error.problems.length;
      throw error;
    }
  }
}

/** Sets fields of a job, those of `texts` to a text. */
function apply(job: Json, assignments: readonly Assignment[], texts: ReadonlySet<Assignment>): Json {
  return assignments.reduce(
    (changed, assignment) =>
      withField(
        changed,
        assignment.path,
        texts.has(assignment) ? assignment.text : parseValue(assignment.text),
      ),
    job,
  );
}

function parseAssignment(written: string): Assignment {
  const at = written.indexOf("=");
  const path = written.slice(0, Math.max(at, 0)).split(".");
  if (at < 0 || !path.every((field) => FIELD.test(field))) {
    throw new InvalidInput(`--set must be like steps=20 or optimizer.learningRate=1e-3, got ${written}`);
  }
  return { path, text: written.slice(at + 1) };
}

/** True for a number, true, false or null, which may be meant as a text. */
const isScalar = (value: unknown): boolean =>
  typeof value !== "string" && (typeof value !== "object" || value === null);

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
