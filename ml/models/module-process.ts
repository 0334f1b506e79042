import { type ChildProcess, fork, spawn } from "node:child_process";
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { Socket } from "node:net";
import { tmpdir, totalmem } from "node:os";
import { dirname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { errorOfKind, TryAgain, Unrecoverable } from "../../protocol/errors.ts";
import { nativeDirectory } from "../tensorflow/tensorflow.ts";
import type { ModelDescription } from "./model.ts";
import type { UserSizes } from "./user-model-types.d.ts";

/** What a module's process answers: a value, or the kind and text of an error. */
export type ModuleAnswer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: { readonly kind: string; readonly message: string } };

export type ModuleOptions = {
  /** The source: TypeScript with types that can be stripped, or JavaScript; one file that imports nothing but types. */
  readonly source: Uint8Array;
  /** Names it in errors. */
  readonly name: string;
  /** Folders that it may read, beside this package. */
  readonly readable?: readonly string[] | undefined;
  /** Lets it load TensorFlow's library: native code, which Node's permission model does not bind. @default false */
  readonly native?: boolean | undefined;
  /** Memory that its process may take. @default three quarters of the machine's or the container's */
  readonly memoryMb?: number | undefined;
  /** How long importing it, and describing its model, may take. @default 20 s */
  readonly startMs?: number | undefined;
};

/** Importing a module, and describing its model, takes milliseconds; a busy machine may need seconds. */
const START_MS = 20_000;
const METER_MS = 100;
const MB = 1 << 20;

type Waiting = { readonly resolve: (value: unknown) => void; readonly reject: (error: unknown) => void };

/**
 * A process that runs the code of a user's module and nothing else. It has no credentials: its environment has only
 * what a backend needs, and Node's permission model lets it read this package and its own files, write nothing and
 * start no program. Code that loops for ever, allocates without end or ends its process is an error with that reason.
 */
export class ModuleProcess {
  readonly #options: ModuleOptions;
  readonly #folder: string;
  #child: ChildProcess | null = null;
  /** Requests that a process which replaces a killed one gets first. */
  readonly #setup: { readonly method: string; readonly args: object; readonly limitMs: number }[] = [];
  readonly #waiting = new Map<number, Waiting>();
  #id = 0;
  #ending: string | null = null;

  private constructor(options: ModuleOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
  }

  /** @throws Unrecoverable when the module does not run, or exports no model */
  static async open(options: ModuleOptions): Promise<ModuleProcess> {
    const folder = await realpath(await mkdtemp(join(tmpdir(), "ps-module-")));
    const module = new ModuleProcess(options, folder);
    try {
      // .mts makes it an ES module whatever package.json is near. JavaScript is TypeScript without types.
      const file = join(folder, "model.mts");
      await writeFile(file, options.source, { mode: 0o600 });
      await module.prepare("open", { file, name: options.name }, options.startMs ?? START_MS);
      return module;
    } catch (error) {
      await module.close();
      throw error;
    }
  }

  /** @throws Unrecoverable when it describes no model */
  async describe(sizes: UserSizes): Promise<ModelDescription> {
    // What comes back was checked on the other side, which is ours up to the module's own code: see SECURITY.md.
    return (await this.call("describe", { sizes }, this.#options.startMs ?? START_MS)) as ModelDescription;
  }

  /** Makes a request now, and again of a process that replaces a killed one. */
  async prepare(method: string, args: object, limitMs: number): Promise<void> {
    if (this.#child !== null || this.#setup.length === 0) await this.#request(method, args, limitMs);
    this.#setup.push({ method, args, limitMs });
  }

  /**
   * @throws Unrecoverable when the code does not return within the limit, or ends its process
   * @throws TryAgain when somebody killed the process
   */
  async call(method: string, args: object, limitMs: number): Promise<unknown> {
    if (this.#child === null)
      for (const setup of this.#setup) await this.#request(setup.method, setup.args, setup.limitMs);
    return this.#request(method, args, limitMs);
  }

  async close(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #request(method: string, args: object, limitMs: number): Promise<unknown> {
    const child = this.#child ?? this.#start();
    const id = ++this.#id;
    const timer = setTimeout(() => {
      const loops = `its code has not returned for ${limitMs / 1000} s, so it may loop for ever`;
      const more =
        method === "gradient" || method === "evaluate" ? "; a larger stallMinutes gives it more time" : "";
      this.#ending = `${loops}${more}`;
      child.kill("SIGKILL");
    }, limitMs);
    const meter = setInterval(() => this.#limitMemory(child), METER_MS);
    // The process is in use: it keeps this one alive until it answers.
    child.ref();
    child.channel?.ref();
    try {
      return await new Promise((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject });
        child.send({ id, method, args }, (error) => {
          if (error) this.#failAll(error);
        });
      });
    } finally {
      clearTimeout(timer);
      clearInterval(meter);
      this.#waiting.delete(id);
      child.unref();
      child.channel?.unref();
    }
  }

  get #memoryMb(): number {
    return this.#options.memoryMb ?? Math.floor((0.75 * availableMemory()) / MB);
  }

  /** Ends a process that has too much outside of V8's heap, whose limit V8 keeps. */
  #limitMemory(child: ChildProcess): void {
    if (residentBytes(child) <= this.#memoryMb * MB) return;
    this.#ending = this.#tooMuch;
    child.kill("SIGKILL");
  }

  get #tooMuch(): string {
    return `its code took all memory that it may have (${this.#memoryMb} MB), so it may allocate without end`;
  }

  #start(): ChildProcess {
    const memory = this.#memoryMb;
    const child = fork(program(), {
      env: environmentFor(process.env),
      execArgv: [
        ...permissions([this.#folder, ...(this.#options.readable ?? [])], this.#options.native ?? false),
        `--max-old-space-size=${memory}`,
        "--enable-source-maps",
      ],
      serialization: "advanced",
      stdio: ["ignore", 2, "inherit", "ipc"],
    });
    this.#child = child;
    endWithThisProcess(child);
    child.on("message", (answer: ModuleAnswer) => this.#settle(answer));
    child.once("error", (error) => this.#failAll(error));
    child.once("exit", (code, signal) => {
      if (this.#child === child) this.#child = null;
      this.#failAll(this.#endOf(code, signal));
      this.#ending = null;
    });
    return child;
  }

  #settle(answer: ModuleAnswer): void {
    const waiting = this.#waiting.get(answer.id);
    if ("error" in answer) waiting?.reject(errorOfKind(answer.error.kind, answer.error.message));
    else waiting?.resolve(answer.value);
  }

  #failAll(error: unknown): void {
    for (const { reject } of this.#waiting.values()) reject(error);
  }

  #endOf(code: number | null, signal: NodeJS.Signals | null): Error {
    const { name } = this.#options;
    if (this.#ending !== null) return new Unrecoverable(`${name}: ${this.#ending}`);
    // V8's end when its heap is full.
    if (signal === "SIGABRT" || signal === "SIGTRAP" || code === 134)
      return new Unrecoverable(`${name}: ${this.#tooMuch}`);
    // Somebody else's kill: of a person, or of a system that has no memory left.
    if (signal !== null) return new TryAgain(`${name}: its process was ended by ${signal}`);
    return new Unrecoverable(`${name}: its code ended its process with exit status ${code}`);
  }
}

/**
 * Kills `child` when this process ends, in whatever way: code that loops hears no signal and no closed channel. A shell
 * waits for the end of its input, which comes when this process is gone.
 */
function endWithThisProcess(child: ChildProcess): void {
  const script = 'trap "" HUP INT TERM; read -r _; kill -9 "$1"';
  const guard = spawn("/bin/sh", ["-c", script, "sh", String(child.pid)], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  // Without a shell, as on Windows, a module that loops outlives a worker that is killed.
  guard.on("error", () => {});
  guard.unref();
  if (guard.stdin instanceof Socket) guard.stdin.unref();
  child.once("exit", () => guard.kill("SIGKILL"));
}

/** Returns the bytes of a process in memory; 0 where the system does not tell. */
function residentBytes({ pid }: ChildProcess): number {
  try {
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
    return 1024 * Number(kib ?? 0);
  } catch {
    // It has ended, or this is not Linux.
    return 0;
  }
}

function availableMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 && limit < totalmem() ? limit : totalmem();
}

/** What a backend may need of the environment; credentials are in none of these. */
const NEEDED =
  /^(PATH|HOME|TMPDIR|TZ|LANG|LC_\w+|LD_LIBRARY_PATH|(TF|ONEDNN|DNNL|OMP|KMP|MKL|XLA|CUDA|CUDNN|CUBLAS|NVIDIA)_\w+|PS_(CACHE_DIR|SKIP_NATIVE|TENSORFLOW_DEVICE|DEVICE)|XDG_CACHE_HOME)$/;

function environmentFor(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => NEEDED.test(name)));
}

/** Flags of Node's permission model. It may start no threads: those would not be bound by it. */
function permissions(folders: readonly string[], native: boolean): string[] {
  const library = native ? nativeDirectory() : null;
  const readable = [...packageFolders(), ...(library === null ? [] : [library]), ...folders];
  return [
    "--permission",
    ...(native ? ["--allow-addons", "--disable-warning=SecurityWarning"] : []),
    ...readable.map((folder) => `--allow-fs-read=${folder}${sep}*`),
  ];
}

/** This package's folder, and the packages that it uses, which may be beside it, or elsewhere by a link. */
function packageFolders(): string[] {
  const folder = packageFolder();
  const [above] = folder.split(`${sep}node_modules${sep}`);
  if (above !== folder && above !== undefined) return [join(above, "node_modules")];
  const packages = join(folder, "node_modules");
  return existsSync(packages) ? [folder, realpathSync(packages)] : [folder];
}

function packageFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) folder = dirname(folder);
  return folder;
}

const program = (): string => join(packageFolder(), "dist", "module-program.js");
