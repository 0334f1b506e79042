import { aggregatorMutants } from "./lists/aggregator.ts";
import { cloudMutants } from "./lists/cloud.ts";
import { coordinatorMutants } from "./lists/coordinator.ts";
import { functionsMutants } from "./lists/functions.ts";
import { localMutants } from "./lists/local.ts";
import { protocolMutants } from "./lists/protocol.ts";
import { workerMutants } from "./lists/worker.ts";
import type { Mutant } from "./mutant.ts";

/** All mutants. `npm run mutants` must find each of them killed. */
export const mutants: readonly Mutant[] = [
  ...cloudMutants,
  ...protocolMutants,
  ...aggregatorMutants,
  ...coordinatorMutants,
  ...functionsMutants,
  ...workerMutants,
  ...localMutants,
];
