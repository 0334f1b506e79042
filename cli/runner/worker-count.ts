import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * How many workers a job is to have, said by one process of this machine to another, the job's runner: a file, which
 * the runner removes once it has done what it says.
 */
export class WantedWorkers {
  readonly #folder: string;
  readonly #file: string;

  constructor(home: string, job: string) {
    this.#folder = join(home, "wanted");
    this.#file = join(this.#folder, job);
  }

  ask(workers: number): void {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    const aside = `${this.#file}.${process.pid}`;
    writeFileSync(aside, String(workers));
    renameSync(aside, this.#file);
  }

  /** Whether the runner has yet to do what was asked. */
  get pending(): boolean {
    return existsSync(this.#file);
  }

  /** Does what was asked, if anything was. */
  take(resize: (workers: number) => void): void {
    if (!this.pending) return;
    const workers = Number(readFileSync(this.#file, "utf8"));
    if (Number.isSafeInteger(workers) && workers > 0) resize(workers);
    this.forget();
  }

  /** Drops what was asked of a runner that is gone. */
  forget(): void {
    rmSync(this.#file, { force: true });
  }
}
