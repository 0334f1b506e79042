import type { StackAddress } from "./address.ts";
import type { Target } from "./target.ts";

/** A stack that is deployed on AWS: jobs whose functions are Lambdas and whose workers are AWS Batch jobs. */
export function stackTarget(address: StackAddress): Target {
  const open = async () => (await import("./open-stack.ts")).openStack(address);
  return {
    address,
    hasJobs: () => true,
    open,
    printLogs: async (job, options) =>
      (await import("./stack-log-printer.ts")).printStackLogs(await open(), job, options),
    doctor: async () => (await import("../doctor/stack-doctor.ts")).doctorOfStack(address, open),
    runInBackground: async () => null,
    explain: async (error) => (await import("./aws.ts")).explained(error),
  };
}
