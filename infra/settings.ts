import type { Node } from "constructs";
import { z } from "zod";
import { InvalidInput } from "../protocol/errors.ts";

/** The settings of `cdk deploy -c KEY=VALUE`. */
const settingsSchema = z.strictObject({
  /** Tells several stacks of one account apart: in `ps-submit --stack NAME`, and in the names of resources. */
  name: z
    .string()
    .regex(
      /^[a-z0-9](?:[a-z0-9-]{0,14}[a-z0-9])?$/,
      "must be 1 to 16 lower-case letters, digits and dashes, with no dash at either end",
    )
    .default("serverless-ps"),
  /** URI of an existing worker image for GPUs; default: an image built from worker/Dockerfile. */
  workerImage: z.string().min(1).optional(),
  /** URI of an existing worker image without GPU; default: an image built from worker/Dockerfile. */
  workerImageCpu: z.string().min(1).optional(),
  /**
   * Instance families of GPU workers. With several, more machines are available; with one, all workers have the same kind
   * of GPU, so a job gives the same bits in every run.
   */
  gpuFamilies: z
    .string()
    .transform((list) => list.split(","))
    .pipe(z.array(z.enum(["g4dn", "g5", "g6"])).min(1))
    .default(["g4dn", "g5", "g6"]),
  /** Number of availability zones for workers; every region has two. */
  zones: z.coerce.number().int().min(1).max(6).default(2),
});
export type Settings = z.infer<typeof settingsSchema>;

/** @throws InvalidInput that names each wrong setting, its rule, and the value got */
export function readSettings({ node }: { readonly node: Node }): Settings {
  const values = Object.fromEntries(
    Object.keys(settingsSchema.shape).map((key) => [key, node.tryGetContext(key)]),
  );
  const read = settingsSchema.safeParse(values);
  if (read.success) return read.data;
  throw new InvalidInput(
    read.error.issues.map(
      ({ path, message }) => `-c ${path.join(".")} ${message}, got ${values[String(path[0])]}`,
    ),
  );
}
