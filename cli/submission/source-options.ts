import type { PrepareOptions } from "../../ml/data/prepare-options.ts";
import type { Environment } from "../targets/address.ts";

/** Options for reading a job's text and model. */
export type SourceOptions = Pick<PrepareOptions, "cache" | "onProgress" | "signal"> & {
  /**
   * Variables that name the account of `s3://` sources: that of the stack or endpoint that jobs run on, else the user's
   * own on AWS. Sources are only read.
   */
  readonly environment: Environment;
};
