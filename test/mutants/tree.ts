import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { type Mutant, mutated } from "./mutant.ts";

/** The outcome of some test files. `failed` is the first test that failed; null when all passed. */
export type Outcome = {
  readonly result: "passed" | "failed" | "too long";
  readonly failed: string | null;
  readonly seconds: number;
};

/** A copy of the repository, with what is not committed yet; its packages are those of the original. */
export class Tree {
  readonly #root: string;
  readonly #temporary: string;
  #end = () => {};

  private constructor(root: string) {
    this.#root = root;
    this.#temporary = join(root, "tmp");
    mkdirSync(this.#temporary);
  }

  /** Copies the repository that is the working directory, and builds `dist/` in the copy. */
  static create(): Tree {
    const root = mkdtempSync(join(tmpdir(), "ps-mutants-"));
    const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    for (const file of listed.toString().split("\0").filter(Boolean)) {
      // A file that was deleted and not committed is still listed.
      if (!existsSync(file)) continue;
      mkdirSync(dirname(join(root, file)), { recursive: true });
      cpSync(file, join(root, file));
    }
    symlinkSync(resolve("node_modules"), join(root, "node_modules"));
    execFileSync(process.execPath, ["scripts/build.mjs"], { cwd: root, stdio: "inherit" });
    return new Tree(root);
  }

  /** Runs test files with a mutant in place, until the first failure. */
  async try(mutant: Mutant, limitMs: number): Promise<Outcome> {
    const path = join(this.#root, mutant.file);
    const text = readFileSync(path, "utf8");
    writeFileSync(path, mutated(mutant, text));
    try {
      return await this.run(mutant.tests, limitMs);
    } finally {
      writeFileSync(path, text);
    }
  }

  /** Runs test files until the first failure, or for `limitMs`. */
  async run(tests: readonly string[], limitMs: number): Promise<Outcome> {
    const started = performance.now();
    const args = ["--test", "--test-reporter=tap", "--test-concurrency=1", ...tests];
    const env = { ...process.env, TMPDIR: this.#temporary };
    const child = spawn(process.execPath, args, {
      cwd: this.#root,
      env,
      stdio: ["ignore", "pipe", "ignore"],
      // A process group of its own, which ends as one.
      detached: true,
    });
    const exit = once(child, "exit");
    let failed: string | null = null;
    let isLate = false;
    this.#end = () => {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGKILL");
    };
    const timer = setTimeout(() => {
      isLate = true;
      this.#end();
    }, limitMs);
    for await (const line of createInterface(child.stdout)) {
      failed ??= /^\s*not ok \d+ - (.*)$/.exec(line)?.[1] ?? null;
      if (failed !== null) this.#end();
    }
    clearTimeout(timer);
    const [code] = await exit;
    this.#end = () => {};
    const seconds = (performance.now() - started) / 1000;
    if (failed !== null) return { result: "failed", failed, seconds };
    if (isLate) return { result: "too long", failed: null, seconds };
    return code === 0
      ? { result: "passed", failed, seconds }
      : { result: "failed", failed: `exit code ${code}`, seconds };
  }

  /** Removes the copy, and ends what runs in it. */
  remove(): void {
    this.#end();
    rmSync(this.#root, { recursive: true, force: true, maxRetries: 20, retryDelay: 200 });
  }
}
