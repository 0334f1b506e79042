/**
 * Bundles what runs from dist/: the command line, the emulator, the functions and the worker. Chunks that only one
 * command needs stay apart, so that the command line starts fast. Each Lambda is one file that holds all it needs,
 * in a folder of its own.
 */
import { existsSync } from "node:fs";
import { lstat, mkdir, readdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
const bin = join(dist, "ps-submit.js");

/** Name in dist/ and source of each process. */
const entries = {
  "ps-submit": "cli/main.ts",
  "backend-probe": "cli/submission/backend-probe.ts",
  emulator: "local/emulator/main.ts",
  functions: "local/functions/main.ts",
  worker: "worker/main.ts",
  "worker-thread": "worker/worker-thread.ts",
  "tokenize-thread": "ml/data/tokenize-thread.ts",
  "pool-thread": "ml/inference/pool-thread.ts",
};

const lambdas = ["updates", "dead-letters", "watchdog"];

/** Some libraries call `require` for Node's own modules, which ES modules do not have. */
const requireForLibraries =
  'import { createRequire as psCreateRequire } from "node:module"; globalThis.require ??= psCreateRequire(import.meta.url);';

/** @type {import("esbuild").BuildOptions & { write: false }} */
const common = {
  absWorkingDir: root,
  outdir: "dist",
  bundle: true,
  write: false,
  format: "esm",
  platform: "node",
  target: "node24",
  mainFields: ["module", "main"],
  banner: { js: requireForLibraries },
  logLevel: "warning",
};
const builds = await Promise.all([
  build({
    ...common,
    entryPoints: Object.fromEntries(
      Object.entries(entries).filter(([name, source]) => isThere(name, source)),
    ),
    chunkNames: "chunks/[name]-[hash]",
    splitting: true,
    external: ["@tensorflow/*"],
    sourcemap: true,
  }),
  build({
    ...common,
    entryPoints: Object.fromEntries(
      lambdas.map((name) => [`lambda/${name}/index`, `functions/lambda/${name}.ts`]),
    ),
    outExtension: { ".js": ".mjs" },
    // Half the bytes to load at a cold start; stack traces keep the names.
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: "none",
  }),
]);
await publish(builds.flatMap(({ outputFiles }) => outputFiles));
await linkBin();

/** @param {string} name @param {string} source */
function isThere(name, source) {
  if (existsSync(join(root, source))) return true;
  console.warn(`${source} is not there yet: dist/${name}.js is left out`);
  return false;
}

/**
 * Puts the files in dist/, each whole and chunks first, then removes what is no longer part of it: a process that
 * starts meanwhile finds the old build or the new one.
 * @param {readonly import("esbuild").OutputFile[]} files
 */
async function publish(files) {
  const isChunk = (/** @type {import("esbuild").OutputFile} */ file) =>
    file.path.includes(`${sep}chunks${sep}`);
  for (const file of [...files.filter(isChunk), ...files.filter((file) => !isChunk(file))]) {
    await mkdir(dirname(file.path), { recursive: true });
    const aside = `${file.path}.${process.pid}`;
    await writeFile(aside, file.contents, { mode: file.path === bin ? 0o755 : 0o644 });
    await rename(aside, file.path);
  }
  const built = new Set(files.map((file) => file.path));
  for (const entry of await readdir(dist, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && !built.has(path)) await rm(path, { force: true });
  }
}

/** npm links the bins of dependencies but not of the package itself; with this `npx ps-submit` works in a clone. */
async function linkBin() {
  const link = join(root, "node_modules", ".bin", "ps-submit");
  if (await lstat(link).catch(() => undefined)) return;
  await mkdir(dirname(link), { recursive: true });
  await symlink(join("..", "..", "dist", "ps-submit.js"), link);
}
