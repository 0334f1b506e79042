/**
 * Writes job.schema.json, which gives editors completion and help in a job file that names it in `$schema`, and
 * docs/jobs.md.
 */
import { writeFileSync } from "node:fs";
import { z } from "zod";
import { jobFileSchema } from "../protocol/job.ts";
import { jobsPage, jobsPageFile } from "./jobs-page.ts";

export const schemaFile = new URL("../job.schema.json", import.meta.url);

/** The JSON Schema of a job file. */
export function jobJsonSchema(): z.core.JSONSchema.BaseSchema {
  return z.toJSONSchema(jobFileSchema, {
    io: "input",
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema }) => {
      const { properties } = jsonSchema;
      // `expandShorthands` supplies the types of these.
      if (properties?.from) jsonSchema.required = ["from"];
      if (properties?.module) jsonSchema.required = ["module"];
      if (properties?.path) jsonSchema.required = ["path"];
      // A field that must not be there.
      if (zodSchema._zod.def.type === "undefined") jsonSchema.not = {};
    },
  });
}

export const schemaText = (): string =>
  `${JSON.stringify({ title: "Job file of ps-submit", ...jobJsonSchema() }, null, 2)}\n`;

if (import.meta.main) {
  writeFileSync(schemaFile, schemaText());
  writeFileSync(jobsPageFile, jobsPage(jobJsonSchema()));
}
