import type { Node } from "constructs";
import { z } from "zod";
import { InvalidInput } from "../protocol/errors.ts";

/** What `cdk deploy -c KEY=VALUE` may say. */
const settingsSchema = z.strictObject({
  /** Keeps several stacks of one account apart: in `ps-submit --stack NAME`, and in all that is named. */
  name: z
    .string()
    .regex(
      /^[a-z0-9](?:[a-z0-9-]{0,14}[a-z0-9])?$/,
      "must be 1 to 16 lower-case letters, digits and dashes, with no dash at either end",
    )
    .default("serverless-ps"),
});
export type Settings = z.infer<typeof settingsSchema>;

/** @throws InvalidInput naming each setting that is wrong, its rule, and what was given */
export function readSettings({ node }: { readonly node: Node }): Settings {
  const given = Object.fromEntries(
    Object.keys(settingsSchema.shape).map((key) => [key, node.tryGetContext(key)]),
  );
  const read = settingsSchema.safeParse(given);
  if (read.success) return read.data;
  throw new InvalidInput(
    read.error.issues.map(
      ({ path, message }) => `-c ${path.join(".")} ${message}, got ${given[String(path[0])]}`,
    ),
  );
}
