import { InvalidInput } from "../../protocol/errors.ts";
import type { TargetAddress } from "./address.ts";
import type { OpenTarget, Target } from "./target.ts";

/** Finds the target at an address; nothing is opened. What only one kind of target needs is loaded for that kind. */
export async function locateTarget(address: TargetAddress): Promise<Target> {
  switch (address.kind) {
    case "embedded":
      return (await import("./embedded.ts")).embeddedTarget(address);
    case "endpoint":
      return (await import("./endpoint.ts")).endpointTarget(address);
    case "stack":
      return (await import("./stack.ts")).stackTarget(address);
  }
}

/**
 * Opens a target where jobs were submitted before; unlike `target.open` it makes no folder for the first job.
 *
 * @throws InvalidInput when there were none
 */
export async function openExisting(target: Target): Promise<OpenTarget> {
  if (target.hasJobs()) return target.open();
  throw new InvalidInput(
    `there are no jobs ${target.address.where}; go to the folder they were submitted from, set PS_DATA_DIR, or name the --stack or --endpoint-url they are on`,
  );
}
