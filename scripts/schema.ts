/**
 * Writes job.schema.json, which gives editors completion and help in a job file that names it in `$schema`.
 */
import { writeFileSync } from "node:fs";
import { z } from "zod";
import { jobFileSchema } from "../protocol/job.ts";

export const schemaFile = new URL("../job.schema.json", import.meta.url);

/** The JSON Schema of a job file. */
export function jobJsonSchema(): z.core.JSONSchema.BaseSchema {
  return z.toJSONSchema(jobFileSchema, {
    io: "input",
    unrepresentable: "any",
    override: ({ jsonSchema }) => {
      const { properties } = jsonSchema;
      // `expandShorthands` supplies the types of these.
      if (properties?.from) jsonSchema.required = ["from"];
      if (properties?.module) jsonSchema.required = ["module"];
      if (properties?.path) jsonSchema.required = ["path"];
      // A type that must not be there is no type that may be anything.
      if (properties?.type && Object.keys(properties.type).length === 0) delete properties.type;
    },
  });
}

export const schemaText = (): string =>
  `${JSON.stringify({ title: "Job file of ps-submit", ...jobJsonSchema() }, null, 2)}\n`;

if (import.meta.main) writeFileSync(schemaFile, schemaText());
