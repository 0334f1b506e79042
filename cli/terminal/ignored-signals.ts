import { readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";
export type Signal = "SIGINT" | "SIGTERM" | "SIGHUP";

/** Signals that this process was started to ignore, as `nohup` and shells without job control do. */

/** The launcher at the head of the bundle finds out, since Node gives every signal its default effect when it starts. */
const VARIABLE = "PS_IGNORED_SIGNALS";
const MAX_ANCESTORS = 20;
const O_ACCMODE = 3;
const O_WRONLY = 1;

let ignored: ReadonlySet<Signal> | null = null;

/** Returns the signals that are to stay without effect. */
export function ignoredSignals(): ReadonlySet<Signal> {
  ignored ??= findIgnored(process.env);
  return ignored;
}

/** Keeps the system from ending this process by a signal that it was started to ignore. */
export function ignoreSignalsIgnoredAtStart(): void {
  for (const signal of ignoredSignals()) process.on(signal, () => {});
}

function findIgnored(env: NodeJS.ProcessEnv): ReadonlySet<Signal> {
  const known = (env[VARIABLE] ?? "").split(" ");
  delete env[VARIABLE];
  const found = new Set<Signal>();
  if (known.includes("HUP") || isUnderNohup(env)) found.add("SIGHUP");
  if (known.includes("INT")) found.add("SIGINT");
  return found;
}

/**
 * True where `nohup` started this process or one above it: `npx` is a Node too, which has lost what it was started with,
 * so that only traces of nohup are left. They are: the shell's variable `_`, also in the environment that a process above
 * was started with; a process above that ignores SIGHUP; and what nohup puts in the place of a terminal.
 */
function isUnderNohup(env: NodeJS.ProcessEnv): boolean {
  return isNohup(env._) || hasNohupsFiles() || isBelowNohup();
}

const isNohup = (command: string | undefined): boolean =>
  command !== undefined && /^g?nohup$/.test(basename(command));

/** nohup puts /dev/null, opened for writing, in the place of a terminal as standard input, and nohup.out as output. */
function hasNohupsFiles(): boolean {
  const output = textOf(() => readlinkSync("/proc/self/fd/1"));
  const flags =
    /^flags:\s*(\d+)/m.exec(textOf(() => readFileSync("/proc/self/fdinfo/0", "utf8")))?.[1] ?? "0";
  const unreadable = (Number.parseInt(flags, 8) & O_ACCMODE) === O_WRONLY;
  const input = textOf(() => readlinkSync("/proc/self/fd/0"));
  return basename(output) === "nohup.out" || (input === "/dev/null" && unreadable);
}

/** Looks at the processes above that belong to the same command of a shell, its process group. On Linux only. */
function isBelowNohup(): boolean {
  const own = statOf(process.pid);
  for (let pid = own?.parent ?? 0, steps = 0; pid > 1 && steps < MAX_ANCESTORS; steps++) {
    const stat = statOf(pid);
    if (stat === null || stat.group !== own?.group) return false;
    const file = (name: string) => textOf(() => readFileSync(`/proc/${pid}/${name}`, "latin1"));
    const mask = /^SigIgn:\s*(\w+)/m.exec(file("status"))?.[1] ?? "0";
    const last = file("environ")
      .split("\0")
      .find((entry) => entry.startsWith("_="));
    if (Number.parseInt(mask.slice(-1), 16) % 2 === 1 || isNohup(last?.slice(2))) return true;
    pid = stat.parent;
  }
  return false;
}

function statOf(pid: number): { readonly parent: number; readonly group: number } | null {
  // The name before it, in parentheses, may have blanks.
  const fields = textOf(() => readFileSync(`/proc/${pid}/stat`, "latin1"))
    .split(") ")
    .at(-1)
    ?.split(" ");
  const [, parent, group] = (fields ?? []).map(Number);
  return parent === undefined || group === undefined ? null : { parent, group };
}

/** Returns what `read` reads; an empty text where there is no such file, as on macOS, or none that may be read. */
function textOf(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}
