/** Writes job.schema.json, which gives editors completion and help in a job file that names it in `$schema`. */
import { writeFileSync } from "node:fs";
import { z } from "zod";
import { jobFileSchema } from "../protocol/job.ts";

export const schemaFile = new URL("../job.schema.json", import.meta.url);

export function schemaText(): string {
  const schema = z.toJSONSchema(jobFileSchema, {
    io: "input",
    override: ({ jsonSchema }) => {
      // `parseJob` supplies the type of such a model.
      if (jsonSchema.properties?.from) jsonSchema.required = ["from"];
      if (jsonSchema.properties?.module) jsonSchema.required = ["module"];
    },
  });
  return `${JSON.stringify({ title: "Job file of ps-submit", ...schema }, null, 2)}\n`;
}

if (import.meta.main) writeFileSync(schemaFile, schemaText());
