import type { Finding } from "../doctor/finding.ts";
import type { LocalTarget, Target } from "./target.ts";

/** The common part of the targets whose functions and workers are processes of this machine. */

type Closed = Pick<Target, "address" | "hasJobs"> & {
  /** The folder of its jobs' logs. */
  readonly home: string;
  readonly open: () => Promise<LocalTarget>;
  /** Finds out, for `doctor`, whether its S3 and SQS answer. */
  readonly checkAccess: () => Promise<Finding>;
};

export function localTarget({ address, home, hasJobs, open, checkAccess }: Closed): Target {
  return {
    ...{ address, hasJobs, open },
    printLogs: async (job, options) =>
      (await import("./local-logs.ts")).printLocalLogs({ home, job, ...options, open }),
    doctor: async () => (await import("../doctor/machine-doctor.ts")).doctorOfMachine(address, checkAccess),
    runInBackground: async (job, args) =>
      (await import("../runner/background.ts")).runInBackground({ address, home, job, args }),
    explain: async (error) => error,
  };
}
