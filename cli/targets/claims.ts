import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { makeFolder } from "../../protocol/make-folder.ts";
import type { Claim } from "./target.ts";

const SUFFIX = ".claim";
const BUSY = 5;
/** Longer than a process takes to see whether a claim is taken; a claimant waits for that. */
const CLAIM_WAIT_MS = 200;

/**
 * The claims of this machine's processes on jobs: for each job a file with SQLite's lock, which the operating system
 * releases when the process dies.
 */
export class Claims {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
    makeFolder(directory);
  }

  /** Returns null while another process has the claim. */
  claim(job: string): Claim | null {
    const file = this.#open(job, CLAIM_WAIT_MS);
    if (!lockedBy(file, "BEGIN EXCLUSIVE")) {
      const release = () => {
        if (file.isOpen) file.close();
      };
      return { release, lost: new Promise(() => {}) };
    }
    file.close();
    return null;
  }

  /** Returns the jobs that some process has claimed. */
  taken(): ReadonlySet<string> {
    const files = readdirSync(this.#directory).filter((file) => file.endsWith(SUFFIX));
    const jobs = files.map((file) => file.slice(0, -SUFFIX.length));
    return new Set(jobs.filter((job) => this.#isTaken(job)));
  }

  #isTaken(job: string): boolean {
    const file = this.#open(job, 0);
    try {
      return lockedBy(file, "SELECT count(*) FROM sqlite_master");
    } finally {
      file.close();
    }
  }

  #open(job: string, timeout: number): DatabaseSync {
    return new DatabaseSync(join(this.#directory, `${job}${SUFFIX}`), { timeout });
  }
}

/** Returns true when a statement could not get its lock because another process has it. */
function lockedBy(file: DatabaseSync, statement: string): boolean {
  try {
    file.exec(statement);
    return false;
  } catch (error) {
    if (error instanceof Error && "errcode" in error && error.errcode === BUSY) return true;
    throw error;
  }
}
