/**
 * Where native TensorFlow lives and whether this installation has it. Shared by the installer, the worker and
 * `ps-submit doctor`; plain JavaScript because the installer also runs on Node 20.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";

export const TENSORFLOW_VERSION = "2.18.1";

/** The command that installs native TensorFlow, or tries again. */
export const SETUP_COMMAND = "npm run setup";

/**
 * @typedef {object} Wheel The Python wheel that carries the C library of one platform.
 * @property {string} project
 * @property {string} tag pip's name of the platform
 * @property {string} sha256
 * @property {number} bytes of the wheel
 * @property {number} unpacked bytes of what is kept of it
 * @property {readonly string[]} libraries
 */

const LINUX_LIBRARIES = ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"];
const MACOS_LIBRARIES = ["libtensorflow_cc.2.dylib", "libtensorflow_framework.2.dylib"];

/**
 * Wheels of Python 3.12: the C library in them is the same for every Python, so one hash a platform is enough.
 * @type {Readonly<Record<string, Wheel>>}
 */
export const WHEELS = {
  "linux-x64": {
    project: "tensorflow-cpu",
    tag: "manylinux2014_x86_64",
    sha256: "8e0f27dbd92c6d380ae0ccfe73c7343f65c127b0aa98467c30c2e71eda7c76a4",
    bytes: 230_350_167,
    unpacked: 683_000_000,
    libraries: LINUX_LIBRARIES,
  },
  "linux-arm64": {
    project: "tensorflow",
    tag: "manylinux2014_aarch64",
    sha256: "1ba52b9c06ab8102b31e50acfaf56899b923171e603c8942f2bfeb181d6bb59e",
    bytes: 231_996_787,
    unpacked: 768_000_000,
    libraries: LINUX_LIBRARIES,
  },
  "darwin-arm64": {
    project: "tensorflow",
    tag: "macosx_12_0_arm64",
    sha256: "98afa9c7f21481cdc6ccd09507a7878d533150fbb001840cc145e2132eb40942",
    bytes: 239_622_377,
    unpacked: 656_000_000,
    libraries: MACOS_LIBRARIES,
  },
};

/** The folder shared by every clone of this user: $PS_CACHE_DIR, or one under the user's cache folder. */
export function cacheRoot(env = process.env) {
  if (env.PS_CACHE_DIR) return resolve(env.PS_CACHE_DIR);
  return join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "serverless-ps");
}

/** The folder of one unpacked TensorFlow: complete whenever it exists, as it is renamed into place. */
export function libraryDirectory(root = cacheRoot(), platform = platformName()) {
  return join(root, `tensorflow-${TENSORFLOW_VERSION}-${platform}`);
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
