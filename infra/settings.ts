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
  /** URI of a worker image for GPUs that exists already; default: built from worker/Dockerfile. */
  workerImage: z.string().min(1).optional(),
  /** The same for workers without a GPU. */
  workerImageCpu: z.string().min(1).optional(),
  /**
   * Instance families of GPU workers. With more than one there are more machines to be had; with one, all workers
   * compute on the same kind of GPU, which is what makes a job's bits the same in every run.
   */
  gpuFamilies: z
    .string()
    .transform((list) => list.split(","))
    .pipe(z.array(z.enum(["g4dn", "g5", "g6"])).min(1))
    .default(["g4dn", "g5", "g6"]),
  /** Availability zones that workers may be in; every region has two. */
  zones: z.coerce.number().int().min(1).max(6).default(2),
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
