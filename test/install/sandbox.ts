import { type ChildProcess, spawn } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as wait } from "node:timers/promises";

const SCRIPTS = new URL("../../scripts", import.meta.url).pathname;

/** A clone with the real installer, a hollow binding package, a cache of its own, and only stub programs on PATH. */
export interface Sandbox {
  readonly cache: string;
  /** The file in which the installer records its outcome. */
  readonly statusFile: string;
  /** Puts a program on the PATH of the installer: the body of a shell script. */
  stub(name: string, body: string): void;
  start(env?: Record<string, string>): ChildProcess & { readonly text: () => string };
  install(env?: Record<string, string>): Promise<{ code: number | null; text: string }>;
}

export function sandbox(t: TestContext): Sandbox {
  const root = mkdtempSync(join(tmpdir(), "ps-install-"));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  const [cache, bin, modules] = [join(root, "cache"), join(root, "bin"), join(root, "node_modules")];
  const binding = join(modules, "@tensorflow/tfjs-node-gpu");
  for (const directory of [bin, join(binding, "binding"), join(modules, "node-api-headers")]) {
    mkdirSync(directory, { recursive: true });
  }
  cpSync(SCRIPTS, join(root, "scripts"), { recursive: true });
  writeFileSync(join(root, "package.json"), '{"name":"serverless-ps"}');
  writeFileSync(join(binding, "package.json"), '{"name":"@tensorflow/tfjs-node-gpu"}');
  writeFileSync(join(modules, "node-api-headers/package.json"), '{"name":"node-api-headers"}');

  const start: Sandbox["start"] = (env = {}) => {
    const child = spawn(process.execPath, [join(root, "scripts/install.mjs")], {
      env: { PATH: bin, PS_CACHE_DIR: cache, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let text = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (text += chunk));
    return Object.assign(child, { text: () => text });
  };
  return {
    cache,
    statusFile: join(root, "native-status.json"),
    start,
    stub(name, body) {
      writeFileSync(join(bin, name), `#!/bin/sh\n${body}\n`);
      chmodSync(join(bin, name), 0o755);
    },
    async install(env) {
      const child = start(env);
      return { code: await ended(child), text: child.text() };
    },
  };
}

export function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((done) => child.once("close", done));
}

export function namesIn(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

/** Waits for a condition, at most ten seconds. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 10_000; !condition(); await wait(10)) {
    if (Date.now() > deadline) throw new Error(`after 10 s still not: ${what}`);
  }
}
