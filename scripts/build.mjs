/**
 * Bundles what runs from dist/: the command line, the emulator, the functions and the worker. Chunks that only one
 * command needs stay apart, so that the command line starts fast. Each Lambda is one file that holds all it needs,
 * in a folder of its own.
 *
 * usage: node scripts/build.mjs [worker]   `worker`: only the programs of the worker's image
 */
import { lstat, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { developmentSources, PACKAGED_SOURCES } from "./binding-sources.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
const bin = join(dist, "ps-submit.js");

/** Name in dist/ and source of each process. */
const workerEntries = {
  worker: "worker/main.ts",
  "worker-thread": "worker/worker-thread.ts",
  "module-program": "worker/module-program.ts",
};
const entries = {
  ...workerEntries,
  "ps-submit": "cli/main.ts",
  "backend-probe": "cli/submission/backend-probe.ts",
  emulator: "local/emulator/main.ts",
  functions: "local/functions/main.ts",
  "tokenize-thread": "ml/data/tokenize-thread.ts",
  "pool-thread": "ml/inference/pool-thread.ts",
};

const lambdas = ["updates", "dead-letters", "watchdog"];

/** Some libraries call `require` for Node's own modules, which ES modules do not have. */
const requireForLibraries =
  'import { createRequire as psCreateRequire } from "node:module"; globalThis.require ??= psCreateRequire(import.meta.url);';

/**
 * The head of the command line's bundle, for a shell and for Node at once. The shell finds out which signals it was started
 * to ignore (a trap on one has no effect) before it starts Node, which gives all of them their default effect.
 */
const launcher = [
  "#!/bin/sh",
  `':' //; ignored="HUP INT"; trap 'ignored="\${ignored#HUP }"' HUP; trap 'ignored="\${ignored%INT}"' INT; kill -HUP $$; kill -INT $$; trap - HUP INT`,
  `':' //; PS_IGNORED_SIGNALS="$ignored" exec node "$0" "$@"`,
  "",
].join("\n");

/** @typedef {{ readonly path: string, readonly contents: Uint8Array }} OutputFile */

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

const [only] = process.argv.slice(2);
if (only === undefined) {
  const files = await Promise.all([bundlePrograms(entries), bundleLambdas(), copyBinding()]);
  await publish(files.flat());
  await removeAllBut(files.flat());
  await linkBin();
} else if (only === "worker") {
  await publish(await bundlePrograms(workerEntries));
} else {
  console.error(`usage: node scripts/build.mjs [worker], got ${only}`);
  process.exitCode = 2;
}

/**
 * The bundler, a development package.
 * @returns {Promise<typeof import("esbuild")>}
 */
async function loadEsbuild() {
  try {
    return await import("esbuild");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND")) throw error;
    return explainMissing();
  }
}

/** @returns {never} */
function explainMissing() {
  console.error(
    "Building dist/ takes the development packages, which are not installed. Run: npm ci --include=dev",
  );
  process.exit(1);
}

/**
 * @param {Readonly<Record<string, string>>} entryPoints
 * @returns {Promise<readonly OutputFile[]>}
 */
async function bundlePrograms(entryPoints) {
  const { build } = await loadEsbuild();
  const { outputFiles } = await build({
    ...common,
    entryPoints,
    chunkNames: "chunks/[name]-[hash]",
    splitting: true,
    external: ["@tensorflow/tfjs", "@tensorflow/tfjs-backend-wasm"],
    // One instance of tfjs, as its registry of kernels is global.
    alias: { "@tensorflow/tfjs-core": "@tensorflow/tfjs" },
    sourcemap: true,
  });
  return outputFiles;
}

/** @returns {Promise<readonly OutputFile[]>} */
async function bundleLambdas() {
  const { build } = await loadEsbuild();
  const { outputFiles } = await build({
    ...common,
    entryPoints: Object.fromEntries(
      lambdas.map((name) => [`lambda/${name}/index`, `functions/lambda/${name}.ts`]),
    ),
    outExtension: { ".js": ".mjs" },
    // Half the bytes to load at a cold start; stack traces keep the names.
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: "none",
  });
  return outputFiles;
}

/**
 * The C++ sources of tfjs-node's binding, for the installer of the package: tfjs-node itself is no dependency of it, as
 * npm would run its downloader, or drop it where that fails.
 * @returns {Promise<readonly OutputFile[]>}
 */
async function copyBinding() {
  const directory = developmentSources() ?? explainMissing();
  const names = (await readdir(directory)).filter((name) => /\.(cc|h)$/.test(name));
  return Promise.all(
    names.map(async (name) => ({
      path: join(PACKAGED_SOURCES, name),
      contents: await readFile(join(directory, name)),
    })),
  );
}

/**
 * Puts the files in dist/, each whole and chunks first: a process that starts meanwhile finds the old build or the new
 * one.
 * @param {readonly OutputFile[]} files
 */
async function publish(files) {
  const isChunk = (/** @type {OutputFile} */ file) => file.path.includes(`${sep}chunks${sep}`);
  for (const file of [...files.filter(isChunk), ...files.filter((file) => !isChunk(file))]) {
    await mkdir(dirname(file.path), { recursive: true });
    const aside = `${file.path}.${process.pid}`;
    await writeFile(aside, withLauncher(file), { mode: file.path === bin ? 0o755 : 0o644 });
    await rename(aside, file.path);
  }
}

/**
 * Puts the launcher before the command line's bundle, and its lines before those that the source map knows.
 * @param {OutputFile} file
 */
function withLauncher({ path, contents }) {
  if (path === bin) return Buffer.concat([Buffer.from(launcher), contents]);
  if (path !== `${bin}.map`) return contents;
  const map = JSON.parse(Buffer.from(contents).toString());
  return JSON.stringify({ ...map, mappings: ";".repeat(launcher.split("\n").length - 1) + map.mappings });
}

/**
 * Removes what is no longer part of dist/.
 * @param {readonly OutputFile[]} files
 */
async function removeAllBut(files) {
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
