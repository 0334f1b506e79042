import { hostname } from "node:os";
import type { Environment } from "../protocol/environment.ts";

/** The name of this worker in metrics and logs. The id of an array job's child ends with its index. */
export const workerName = (env: Environment): string =>
  env.PS_WORKER || env.AWS_BATCH_JOB_ID || `${hostname()}-${process.pid}`;
