import type { Stack } from "../../targets/stack-parameters.ts";
import type { Clients } from "./clients.ts";
import type { Question } from "./verdict.ts";

/** A call whose answer shows a permission, or its lack, and that changes nothing. */
export type Probe = Question & {
  /** Ends of the ARNs that the permission is needed on, or `*` where IAM knows no resources. */
  readonly resources: readonly string[];
  readonly ask: () => Promise<unknown>;
};

/** The objects that probes work with. */
export type Trial = {
  readonly stack: Stack;
  readonly clients: Clients;
  /** Name of a job that does not exist. */
  readonly job: string;
};
