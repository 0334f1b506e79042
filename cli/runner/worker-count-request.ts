import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * A request of one process of this machine to another, the runner of a job, for a number of workers: a file, which
 * the runner removes once it has done what the file says.
 */
export class WorkerCountRequest {
  readonly #folder: string;
  readonly #file: string;

  constructor(home: string, job: string) {
    this.#folder = join(home, "wanted");
    this.#file = join(this.#folder, job);
  }

  send(workers: number): void {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    const draft = `${this.#file}.${process.pid}`;
    writeFileSync(draft, String(workers));
    renameSync(draft, this.#file);
  }

  /** True until the runner has answered. */
  get pending(): boolean {
    return existsSync(this.#file);
  }

  /** Calls `resize` if there is a request. */
  answer(resize: (workers: number) => void): void {
    if (!this.pending) return;
    const workers = Number(readFileSync(this.#file, "utf8"));
    if (Number.isSafeInteger(workers) && workers > 0) resize(workers);
    this.withdraw();
  }

  /** Removes a request that its runner can no longer answer. */
  withdraw(): void {
    rmSync(this.#file, { force: true });
  }
}
