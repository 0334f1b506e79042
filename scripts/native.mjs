/**
 * Where native TensorFlow lives and whether this installation has it. Shared by the installer, the worker and
 * `ps-submit doctor`; plain JavaScript because the installer also runs on Node 20.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { cacheDirectory } from "./cache-directory.mjs";
import { TENSORFLOW_VERSION } from "./wheels.mjs";

export { TENSORFLOW_VERSION };

/** The command that installs native TensorFlow, or tries again. */
export const SETUP_COMMAND = "npm run setup";

/** The folder of one unpacked TensorFlow: complete whenever it exists, as it is renamed into place. */
export function libraryDirectory(root = cacheDirectory(), library = libraryName()) {
  return join(root, `tensorflow-${TENSORFLOW_VERSION}-${library}`);
}

/** Which library is wanted: this platform's, with CUDA kernels when PS_TENSORFLOW_DEVICE=gpu asks for them. */
export function libraryName(env = process.env) {
  return env.PS_TENSORFLOW_DEVICE === "gpu" ? `${platformName()}-gpu` : platformName();
}

export function platformName() {
  return `${process.platform}-${process.arch}`;
}

/** The installed `@tensorflow/tfjs-node-gpu`, the package whose C++ binding is built; undefined without it. */
export function bindingPackage() {
  try {
    const file = createRequire(import.meta.url).resolve("@tensorflow/tfjs-node-gpu/package.json");
    return { directory: dirname(file), version: String(readJson(file)?.version) };
  } catch {
    return undefined;
  }
}

/**
 * Where the package looks for its binding: N-API 8, on every Node since 12.22.
 * @param {string} packageDirectory
 */
export function bindingFile(packageDirectory) {
  return join(packageDirectory, "lib", "napi-v8", "tfjs_binding.node");
}

/** @param {string} packageDirectory */
export function statusFile(packageDirectory) {
  return join(packageDirectory, "native-status.json");
}

/**
 * Whether a library folder is whole: its record is written last, and the sizes catch a disk that lost its tail.
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
 * What is installed, without loading it: takes a millisecond and never throws.
 * @returns {import("./native.d.mts").NativeStatus}
 */
export function nativeStatus() {
  const unavailable = { available: false, version: undefined, directory: undefined, fix: SETUP_COMMAND };
  if (process.env.PS_SKIP_NATIVE === "1") {
    return {
      ...unavailable,
      reason: "PS_SKIP_NATIVE=1 is set",
      fix: `unset PS_SKIP_NATIVE; ${SETUP_COMMAND}`,
    };
  }
  const binding = bindingPackage();
  if (binding === undefined) {
    return {
      ...unavailable,
      reason: "the package @tensorflow/tfjs-node-gpu is not installed",
      fix: "npm ci",
    };
  }
  const recorded = readJson(statusFile(binding.directory));
  if (existsSync(bindingFile(binding.directory))) {
    return { available: true, version: recorded?.version, directory: recorded?.directory, reason: undefined };
  }
  if (recorded?.available === false) {
    return { ...unavailable, reason: recorded.reason, fix: recorded.fix ?? SETUP_COMMAND };
  }
  const reason = recorded ? `its files are gone from ${recorded.directory}` : "it has not been set up yet";
  return { ...unavailable, reason };
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
