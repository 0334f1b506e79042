/**
 * Bundles what runs from dist/: the command line, the emulator, the functions and the worker. Chunks that only one
 * command needs stay apart, so that the command line starts fast.
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
  "backend-probe": "cli/backend-probe.ts",
  emulator: "local/emulator/main.ts",
  functions: "local/functions/main.ts",
  worker: "worker/main.ts",
  "lease-thread": "worker/lease-thread.ts",
  "tokenize-thread": "worker/data/tokenize-thread.ts",
};

/** Some libraries call `require` for Node's own modules, which ES modules do not have. */
const requireForLibraries =
  'import { createRequire as psCreateRequire } from "node:module"; globalThis.require ??= psCreateRequire(import.meta.url);';

const { outputFiles } = await build({
  absWorkingDir: root,
  entryPoints: Object.fromEntries(Object.entries(entries).filter(([name, source]) => isThere(name, source))),
  outdir: "dist",
  chunkNames: "chunks/[name]-[hash]",
  bundle: true,
  splitting: true,
  write: false,
  format: "esm",
  platform: "node",
  target: "node24",
  mainFields: ["module", "main"],
  external: ["@tensorflow/*"],
  sourcemap: true,
  banner: { js: requireForLibraries },
  logLevel: "warning",
});
await publish(outputFiles);
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
  await mkdir(join(dist, "chunks"), { recursive: true });
  for (const file of [...files.filter(isChunk), ...files.filter((file) => !isChunk(file))]) {
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
