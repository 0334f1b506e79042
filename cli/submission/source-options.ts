import type { PrepareOptions } from "../../ml/data/prepare-options.ts";
import type { Environment } from "../targets/address.ts";

/** What a job's text and model are read with. */
export type SourceOptions = Pick<PrepareOptions, "cache" | "onProgress" | "signal"> & {
  /**
   * Says where the buckets of `s3://` are: with the stack or endpoint that jobs run on, else in the user's own account
   * on AWS. They are only read.
   */
  readonly environment: Environment;
};
