import { z } from "zod";
import { jobFileSchema } from "../../protocol/job.ts";

type Schema = z.core.JSONSchema.BaseSchema;

/** Returns a job with its fields, and theirs, in the order of docs/jobs.md. */
export const inSchemaOrder = (job: object): unknown =>
  ordered(job, z.toJSONSchema(jobFileSchema, { io: "input", unrepresentable: "any" }));

function ordered(value: unknown, schema: Schema): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const { properties = {} } = objectSchema(value, schema);
  const fields = new Map<string, unknown>(Object.entries(value));
  const names = new Set([...Object.keys(properties), ...fields.keys()].filter((name) => fields.has(name)));
  return Object.fromEntries(
    [...names].map((name) => {
      const field = properties[name];
      return [name, typeof field === "object" ? ordered(fields.get(name), field) : fields.get(name)];
    }),
  );
}

/** The schema of an object with the same type; of several, the first. */
function objectSchema(value: object, schema: Schema): Schema {
  const objects = branchesOf(schema).filter(({ properties }) => properties !== undefined);
  const type = "type" in value ? value.type : undefined;
  const same = objects.find(({ properties }) => {
    const its = properties?.type;
    return typeof its === "object" && its.const === type;
  });
  return (
    same ??
    objects.find(({ properties }) => Object.keys(value).some((name) => name in (properties ?? {}))) ??
    {}
  );
}

function branchesOf(schema: Schema): Schema[] {
  const branches = (schema.oneOf ?? schema.anyOf ?? []).filter((branch) => typeof branch !== "boolean");
  return branches.length === 0 ? [schema] : branches.flatMap(branchesOf);
}
