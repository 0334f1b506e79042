import type { JobRecord } from "../../protocol/records.ts";

type Compared = Pick<JobRecord, "spec" | "dataset">;

/** The fields in which a job differs from the one stored under its name; `workers` may differ. */
export function jobDifferences(stored: Compared, submitted: Compared): string[] {
  const { workers: _, ...there } = stored.spec;
  const { workers: __, ...here } = submitted.spec;
  const fields = [...differingFields(there, here, [])];
  const text = stored.dataset !== submitted.dataset && !fields.some((field) => field.startsWith("data."));
  return text ? [...fields, "data: the text is not the one the job began with"] : fields;
}

function* differingFields(there: unknown, here: unknown, path: readonly string[]): Generator<string> {
  if (isObject(there) && isObject(here)) {
    for (const key of new Set([...Object.keys(there), ...Object.keys(here)])) {
      yield* differingFields(there[key], here[key], [...path, key]);
    }
  } else if (JSON.stringify(there) !== JSON.stringify(here)) {
    yield `${path.join(".")} is ${JSON.stringify(there) ?? "unset"} there, ${JSON.stringify(here) ?? "unset"} here`;
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
