import { type EndpointAddress, folderOfEndpoint } from "./address.ts";
import { localTarget } from "./local.ts";
import type { Target } from "./target.ts";

/** An S3 and SQS that someone else runs, such as LocalStack; functions and workers run on this machine. */
export function endpointTarget(address: EndpointAddress): Target {
  const open = async () => (await import("./open-endpoint.ts")).openEndpoint(address);
  return localTarget({
    address,
    home: folderOfEndpoint(address),
    hasJobs: () => true,
    open,
    checkAccess: async () => (await import("../doctor/local-access.ts")).checkEndpoint(address, open),
  });
}
