import type { Cloud, CloudEnvironment } from "../../cloud/connect.ts";
import type { JobSpec } from "../../protocol/job.ts";
import type { JobRecord, Provenance, State } from "../../protocol/records.ts";
import type { WorkersSeen } from "../terminal/progress.ts";
import type { StackAddress, TargetAddress } from "./address.ts";
import type { Stack } from "./stack-parameters.ts";

/** Where jobs are: the verbs that need no connection, and the one that connects. */
export type Target = {
  readonly address: TargetAddress;
  /** False when no job was ever submitted there. */
  hasJobs(): boolean;
  /** Connects, and makes on this machine what jobs need. */
  open(): Promise<OpenTarget>;
  /** Prints what the processes of a job wrote; all of them without `process`, and until the job has ended with `follow`. */
  printLogs(job: string, options: LogOptions): Promise<void>;
  /** Prints what a job would find there. Returns the exit code. */
  doctor(): Promise<number>;
  /**
   * Runs this command again in a process that stays. Returns the exit code; null where jobs run without a process of
   * this machine.
   */
  runInBackground(job: string, args: readonly string[]): Promise<number | null>;
  /** Returns an error that says what to do about `error`; `error` itself when it does so already. */
  explain(error: unknown): Promise<unknown>;
};

export type LogOptions = { readonly process?: string | undefined; readonly follow: boolean };

/** A target that is connected. */
export type OpenTarget = {
  readonly address: TargetAddress;
  readonly cloud: Cloud;
  /** A worker that is silent for this long has died. */
  readonly leaseSeconds: number;
  /** Milliseconds between two polls of a command that watches a job. */
  readonly watchIntervalMs: number;
  /** Returns the jobs that are running: in processes of this machine, or on the stack. */
  running(): Promise<ReadonlySet<string>>;
  /** Returns those of them that a process of this machine runs. */
  runningHere(): Promise<ReadonlySet<string>>;
  /** Gives this process the exclusive right to run a job; null while another process has it. */
  claim(job: string): Promise<Claim | null>;
  /**
   * Finds out what the result of a new job depends on besides its spec.
   *
   * @throws InvalidInput when the target has no worker for the job
   */
  provenanceOf(spec: JobSpec): Promise<Provenance>;
  /** Returns what a person should know before a job is resumed. */
  notesOn(record: JobRecord): readonly string[];
  /** Continues an attempt that has not ended. Returns the job's state. */
  continueAttempt(state: State, steps: number | undefined): Promise<State>;
  /** Decides how many workers a job gets. */
  workersFor(wanted: WantedWorkers): WorkersGiven;
  /** Gives an attempt its workers and shows the job until it ends. Returns the exit code. */
  runAttempt(attempt: Attempt): Promise<number>;
  /** Gives a running job more or fewer workers, and prints what was done. */
  resize(state: State, workers: number): Promise<void>;
  /** Ends a job, and prints what was done. */
  cancel(state: State): Promise<void>;
  /** Counts the workers of an attempt; null where only the process that runs the job knows them. */
  countWorkers(state: State): Promise<WorkerCount | null>;
  viewWorkers(record: JobRecord): Promise<WorkersView>;
  /** Resolves to true when its S3 and SQS are gone, and opening the target again would start them. */
  isLost(): Promise<boolean>;
  close(): void;
};

export type WantedWorkers = {
  /** The number that the job or the command names; undefined when neither does. */
  readonly asked: number | undefined;
  readonly ranks: number;
  /** The number of parameters that train; null when it is not known. */
  readonly parameters: number | null;
};

export type WorkersGiven = { readonly workers: number; readonly notes: readonly string[] };

/** A process's exclusive right to run a job. It ends with the process at the latest. */
export type Claim = {
  readonly release: () => void;
  /** Resolves when the claim is lost though it was not released. */
  readonly lost: Promise<void>;
};

/** One start or resume of a job. */
export type Attempt = {
  readonly record: JobRecord;
  /** The state that it starts from. */
  readonly state: State;
  /** Opened by this process, just now. */
  readonly isNew: boolean;
  readonly workers: number;
  /** This process's claim on the job. */
  readonly claim: Claim;
  /** Returns once the workers are asked for, where the job needs no process of this machine. */
  readonly detach: boolean;
};

export type WorkerCount = {
  readonly seen: WorkersSeen;
  /** By status, in small letters. */
  readonly byStatus: Readonly<Record<string, number>>;
};

/** The workers of a job, as a command that watches it shows them. */
export type WorkersView = {
  /** Null before the first update, and where only the process that runs the job knows its workers. */
  readonly seen: WorkersSeen | null;
  update(state: State, report: (event: string) => void): Promise<void>;
};

export type LocalEnvironment = CloudEnvironment & { readonly PS_DEAD_LETTERS_URL: string };

/** An open target whose functions and workers are processes of this machine. */
export type LocalTarget = OpenTarget & {
  /** The folder of its jobs' logs. */
  readonly home: string;
  /** The variables that a process needs to work on this target. */
  readonly environment: LocalEnvironment;
  /** Brings back what was lost together with a claim. */
  revive(): Promise<void>;
};

/** An open stack. */
export type StackTarget = OpenTarget & { readonly address: StackAddress; readonly stack: Stack };
