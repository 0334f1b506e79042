/**
 * Where native TensorFlow lives and whether this installation has it. Shared by the installer, the worker and
 * `ps-submit doctor`; plain JavaScript because the installer also runs on a Node that is too old for ps-submit.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheDirectory } from "./cache-directory.mjs";
import { BINDING_VERSION, TENSORFLOW_VERSION } from "./wheels.mjs";

export { TENSORFLOW_VERSION };

/** The command that installs native TensorFlow, or tries again: in a clone, and where the package is installed. */
export const SETUP_COMMAND = "npx ps-submit setup";

/** The folder of one unpacked TensorFlow: complete whenever it exists, as it is renamed into place. */
export function libraryDirectory(root = cacheDirectory(), library = libraryName()) {
  return join(root, `tensorflow-${TENSORFLOW_VERSION}-${library}`);
}

/** The name of the wanted library: this platform's, with CUDA kernels when PS_TENSORFLOW_DEVICE=gpu asks for them. */
export function libraryName(env = process.env) {
  return env.PS_TENSORFLOW_DEVICE === "gpu" ? `${platformName()}-gpu` : platformName();
}

export function platformName() {
  return `${process.platform}-${process.arch}`;
}

/**
 * The binding built against the library of a folder: for N-API 8, so for every Node since 12.22.
 * @param {string} directory
 */
export function bindingFile(directory = libraryDirectory()) {
  return join(directory, `tfjs-${BINDING_VERSION}-napi8.node`);
}

/** The folder of this package, from a bundle in dist/ as from scripts/. */
function packageDirectory() {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, "package.json"))) {
    const parent = dirname(directory);
    if (parent === directory) throw new Error(`${import.meta.url} lies in no package`);
    directory = parent;
  }
  return directory;
}

/** The file with the outcome of this installation's last set-up. */
export function statusFile() {
  return join(packageDirectory(), "native-status.json");
}

/**
 * Returns true for a library folder that is whole: its record is written last, and the sizes catch a disk that lost its tail.
 * @param {string} directory
 */
export function isComplete(directory) {
  const sizes = readJson(join(directory, "complete.json"))?.sizes;
  if (sizes === null || typeof sizes !== "object") return false;
  return Object.entries(sizes).every(
    ([name, bytes]) => statSync(join(directory, name), { throwIfNoEntry: false })?.size === bytes,
  );
}

/**
 * Returns the state of native TensorFlow without loading it, in a millisecond. What another installation of this user
 * has prepared is used too.
 * @returns {import("./native.d.mts").NativeStatus}
 */
export function nativeStatus() {
  if (process.env.PS_SKIP_NATIVE === "1") {
    return {
      available: false,
      reason: "PS_SKIP_NATIVE=1 is set",
      fix: `unset PS_SKIP_NATIVE; ${SETUP_COMMAND}`,
    };
  }
  const recorded = readJson(statusFile());
  if (recorded?.available === true && existsSync(recorded.binding)) return recorded;
  // The user's own cache too, for a process that has a cache of its own.
  const folders = [cacheDirectory(), cacheDirectory({ ...process.env, PS_CACHE_DIR: undefined })];
  const prepared = folders.map((folder) => libraryDirectory(folder)).find(isPrepared);
  if (prepared !== undefined) return availableIn(prepared);
  if (recorded?.available === false) {
    return { available: false, reason: recorded.reason, fix: recorded.fix ?? SETUP_COMMAND };
  }
  const reason = recorded ? `its files are gone from ${recorded.directory}` : "it has not been set up yet";
  return { available: false, reason, fix: SETUP_COMMAND };
}

/** @param {string} directory */
const isPrepared = (directory) => existsSync(bindingFile(directory)) && isComplete(directory);

/**
 * The status of an installation that uses the library in a folder of the cache.
 * @param {string} directory
 * @returns {import("./native.d.mts").NativeStatus & { available: true }}
 */
export function availableIn(directory) {
  return { available: true, version: TENSORFLOW_VERSION, directory, binding: bindingFile(directory) };
}

/**
 * @param {string} file
 * @returns {any} undefined when the file is missing or is not JSON
 */
function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
}
