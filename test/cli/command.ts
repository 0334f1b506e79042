import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { program } from "../../cli/targets/paths.ts";

export type Result = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

/** A folder of its own in which a test submits jobs, as a user would. */
export class Playground {
  readonly directory = mkdtempSync(join(tmpdir(), "ps-cli-"));
  readonly #children: ChildProcess[] = [];
  readonly #environment: Readonly<Record<string, string>>;

  /** @param environment on top of this process's, for every command */
  constructor(environment: Readonly<Record<string, string>> = {}) {
    this.#environment = environment;
  }

  /** Ends what is left of the commands, waits for what they started, and removes the folder. */
  async close(): Promise<void> {
    for (const child of this.#children) child.kill("SIGKILL");
    await this.nothingRuns();
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }

  write(name: string, content: string | Uint8Array | object): void {
    const plain = typeof content === "string" || content instanceof Uint8Array;
    writeFileSync(join(this.directory, name), plain ? content : JSON.stringify(content));
  }

  start(...args: readonly string[]): Running {
    const child = spawn(process.execPath, [program("ps-submit"), ...args], {
      cwd: this.directory,
      env: { ...process.env, ...this.#folders, NO_COLOR: "1", ...this.#environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#children.push(child);
    return new Running(child);
  }

  run(...args: readonly string[]): Promise<Result> {
    return this.start(...args).ended;
  }

  async status(job: string): Promise<Record<string, unknown>> {
    const { stdout } = await this.run("status", job, "--json");
    return JSON.parse(stdout) as Record<string, unknown>;
  }

  get #folders() {
    return { PS_DATA_DIR: this.dataDir, PS_CACHE_DIR: join(this.dataDir, "cache") };
  }

  get dataDir(): string {
    return join(this.directory, ".ps");
  }

  /** Waits until no process of this folder is left: the emulator goes some seconds after its last user. */
  async nothingRuns(seconds = 30): Promise<void> {
    await until(
      () => this.processes().length === 0,
      seconds,
      () => this.processes().join("\n"),
    );
  }

  /** Command lines of the processes that this folder's commands started; on Linux only. */
  processes(): string[] {
    if (process.platform !== "linux") return [];
    const ids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
    return ids.flatMap((id) => {
      try {
        const environment = readFileSync(`/proc/${id}/environ`, "latin1").split("\0");
        const ours = environment.includes(`PS_DATA_DIR=${this.dataDir}`);
        return ours ? [`${id} ${readFileSync(`/proc/${id}/cmdline`, "latin1").replaceAll("\0", " ")}`] : [];
      } catch {
        return [];
      }
    });
  }
}

export class Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Result>;
  stdout = "";
  stderr = "";

  constructor(child: ChildProcess) {
    this.child = child;
    child.stdout?.on("data", (text: Buffer) => {
      this.stdout += text;
    });
    child.stderr?.on("data", (text: Buffer) => {
      this.stderr += text;
    });
    this.ended = new Promise((resolve) => {
      child.once("close", (code) => resolve({ code, stdout: this.stdout, stderr: this.stderr }));
    });
  }

  /** Waits until standard output has text that `pattern` matches. */
  async says(pattern: RegExp, seconds = 60): Promise<void> {
    await until(
      () => pattern.test(this.stdout),
      seconds,
      () => `${this.stdout}${this.stderr}`,
    );
  }
}

async function until(holds: () => boolean, seconds: number, show: () => string): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`not within ${seconds} s:\n${show()}`);
    await sleep(20);
  }
}

/** A language model that trains in a moment. */
export const tinyJob = {
  model: { type: "gpt2", layers: 1, heads: 2, width: 16, context: 16 },
  data: { type: "text", path: "text.txt" },
  optimizer: {
    type: "adamw",
    learningRate: 0.01,
    schedule: { type: "cosine", warmup: 5, minLearningRate: 0.001 },
  },
  steps: 30,
  ranks: 2,
  batch: 4,
  shards: 2,
  evaluateEvery: 10,
} as const;

export const tinyText = "The quick brown fox jumps over the lazy dog.\n".repeat(100);
