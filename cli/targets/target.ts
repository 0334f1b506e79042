import type { Cloud, CloudEnvironment } from "../../cloud/connect.ts";
import { type Place, placeOf } from "./address.ts";
import type { Stack } from "./stack-parameters.ts";

export type LocalEnvironment = CloudEnvironment & { readonly PS_DEAD_LETTERS_URL: string };

/** A process's claim to be the runner of a job. It ends with the process at the latest. */
export type Claim = {
  readonly release: () => void;
  /** Resolves when the claim is lost though it was not released. */
  readonly lost: Promise<void>;
};

type Shared = {
  readonly cloud: Cloud;
  /** Names the target in a sentence: "in /home/me/.ps". */
  readonly where: string;
  /** The jobs that are looked after: by a process of this machine, or by the functions of a stack. */
  running(): Promise<ReadonlySet<string>>;
  close(): void;
};

/** Jobs whose functions and workers are processes of this machine. */
export type LocalTarget = Shared & {
  readonly kind: "embedded" | "endpoint";
  /** The folder of its jobs' logs. */
  readonly home: string;
  /** The folder of tokenized texts. */
  readonly cache: string;
  /** What a process needs in its environment to work on this target. */
  readonly environment: LocalEnvironment;
  /** Marks this process as the runner of a job; null while another process is. */
  claim(job: string): Promise<Claim | null>;
  /** Brings back what was lost together with a claim. */
  revive(): Promise<void>;
};

/** Jobs whose functions are Lambdas and whose workers are AWS Batch jobs. */
export type StackTarget = Shared & { readonly kind: "stack"; readonly stack: Stack };

export type Target = LocalTarget | StackTarget;

/** Opens the place where the user's jobs are, making on this machine what it needs. */
export async function openTarget(place: Place = placeOf()): Promise<Target> {
  switch (place.kind) {
    case "embedded":
      return (await import("./embedded.ts")).openEmbedded(place.dataDir);
    case "endpoint":
      return (await import("./endpoint.ts")).openEndpoint(place);
    case "stack":
      return (await import("./stack.ts")).openStack(place.name);
  }
}

/**
 * Opens a place where jobs were submitted before; unlike `openTarget` it makes no new folder.
 *
 * @throws InvalidInput when there is none
 */
export async function openExisting(place: Place = placeOf()): Promise<Target> {
  if (place.kind === "embedded") (await import("./embedded.ts")).requireJobs(place.dataDir);
  return openTarget(place);
}
