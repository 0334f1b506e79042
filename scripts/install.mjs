/**
 * Prepares native TensorFlow for the workers (this package's postinstall, and `ps-submit setup`). It never fails an
 * install: without the native library jobs run on the wasm backend, and one line says why and what to do.
 *
 * PS_SKIP_NATIVE=1 does nothing. PS_CACHE_DIR names another cache folder. PS_TENSORFLOW_DEVICE=gpu takes the one with CUDA.
 * PS_TENSORFLOW_DIR names a TensorFlow that Python has installed (site-packages/tensorflow) to build against.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { cacheDirectory } from "./cache-directory.mjs";
import { buildBinding, findCompiler, requireSources } from "./install-build.mjs";
import { ensureLibrary } from "./install-fetch.mjs";
import { killChildren, Unavailable } from "./install-run.mjs";
import { removeWork, sweep } from "./install-work.mjs";
import * as native from "./native.mjs";
import { removeUnusableNode } from "./pinned-node.mjs";
import { LIBRARIES } from "./wheels.mjs";

/** @returns {Promise<import("./native.d.mts").NativeStatus>} */
async function install() {
  const library = libraryForThisPlatform();
  const installed = process.env.PS_TENSORFLOW_DIR;
  if (installed) return buildAgainst(resolve(installed), library.libraries);
  const directory = native.libraryDirectory();
  for (const folder of [cacheDirectory(), directory]) await sweep(folder);
  const target = native.bindingFile(directory);
  if (!(native.isComplete(directory) && existsSync(target))) {
    requireSources();
    const compiler = await findCompiler();
    await ensureLibrary(cacheDirectory(), library);
    const tensorflow = join(directory, "tensorflow");
    const runpath = process.platform === "darwin" ? "@loader_path/tensorflow" : "$ORIGIN/tensorflow";
    await buildBinding({ compiler, tensorflow, libraries: library.libraries, runpath, target });
  }
  return native.availableIn(directory);
}

/**
 * Builds against a TensorFlow that is already there; its own layout finds the CUDA libraries.
 * @param {string} tensorflow
 * @param {readonly string[]} libraries
 * @returns {Promise<import("./native.d.mts").NativeStatus>}
 */
async function buildAgainst(tensorflow, libraries) {
  const missing = libraries.find((name) => !existsSync(join(tensorflow, name)));
  if (missing) throw new Unavailable(`PS_TENSORFLOW_DIR=${tensorflow} has no ${missing}`);
  const digest = createHash("sha256").update(tensorflow).digest("hex").slice(0, 16);
  const target = native.bindingFile(join(cacheDirectory(), `binding-${digest}`));
  const compiler = await findCompiler();
  const version = await buildBinding({ compiler, tensorflow, libraries, runpath: tensorflow, target });
  return { available: true, version, directory: tensorflow, binding: target };
}

function libraryForThisPlatform() {
  const device = process.env.PS_TENSORFLOW_DEVICE ?? "cpu";
  if (device !== "cpu" && device !== "gpu")
    throw new Unavailable(`PS_TENSORFLOW_DEVICE must be "cpu" or "gpu", got "${device}"`);
  const name = native.libraryName();
  const library = LIBRARIES[name];
  if (library === undefined) throw new Unavailable(`TensorFlow has no library for ${name}`);
  if (process.platform === "linux" && isMusl()) {
    throw new Unavailable(
      "this Linux uses the musl C library, TensorFlow needs glibc (Debian, Ubuntu, Fedora, ...)",
    );
  }
  return library;
}

function isMusl() {
  process.report.excludeNetwork = true;
  return !process.report.getReport().header.glibcVersionRuntime;
}

/**
 * @param {unknown} error
 * @returns {import("./native.d.mts").NativeStatus}
 */
function explain(error) {
  if (!(error instanceof Unavailable)) console.error(error);
  const reason = error instanceof Error ? error.message : String(error);
  const before = error instanceof Unavailable && error.fix ? `${error.fix} && ` : "";
  return { available: false, reason, fix: `${before}${native.SETUP_COMMAND}` };
}

/**
 * Leaves the outcome where the command line finds it: npm hides what this script prints.
 * @param {import("./native.d.mts").NativeStatus} status
 */
async function record(status) {
  const file = native.statusFile();
  const aside = `${file}.${process.pid}`;
  await writeFile(aside, `${JSON.stringify(status, null, 2)}\n`);
  await rename(aside, file);
}

/** @param {import("./native.d.mts").NativeStatus} status */
function report(status) {
  if (status.available) return console.log(`TensorFlow ${status.version} is ready, in ${status.directory}`);
  console.warn(
    `Native TensorFlow is not available: ${status.reason}. Jobs will run on the wasm backend, about ten times slower. ` +
      `To fix it: ${status.fix}`,
  );
}

/** A stopped install leaves only its work folder, which the next one removes if `finally` cannot. */
function stopCleanly() {
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ]) {
    process.once(signal, () => {
      killChildren();
      removeWork();
      process.exit(code);
    });
  }
}

for (const link of removeUnusableNode()) {
  console.log(
    `The Node in ${link} can't run on this system and was removed; Node ${process.version} is used`,
  );
}
if (process.env.PS_SKIP_NATIVE === "1") {
  console.log(`PS_SKIP_NATIVE=1: native TensorFlow is left out. ${native.SETUP_COMMAND} installs it.`);
} else {
  stopCleanly();
  const status = await install().catch(explain);
  await record(status).catch((error) => console.warn(`The outcome cannot be recorded: ${error.message}`));
  report(status);
}
