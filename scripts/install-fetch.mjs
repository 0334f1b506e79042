/** Puts TensorFlow's C library and headers in the cache folder: download with pip, verify, unpack, rename into place. */
import { createHash } from "node:crypto";
import { createReadStream, readdirSync, statSync } from "node:fs";
import { readdir, rename, rm, statfs, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { installHint, run, Unavailable, withProgress } from "./install-run.mjs";
import { codeOf, workDirectory } from "./install-work.mjs";
import { isComplete, libraryDirectory, TENSORFLOW_VERSION } from "./native.mjs";

const WHEEL_SCRIPT = fileURLToPath(new URL("install-wheel.py", import.meta.url));

/**
 * Returns the folder with TensorFlow unpacked; downloads it first where it is missing.
 * @param {string} root the cache folder
 * @param {import("./wheels.mjs").Library} library
 */
export async function ensureLibrary(root, library) {
  const directory = libraryDirectory(root);
  if (isComplete(directory)) return directory;
  const python = await findPython();
  const work = await workDirectory(root);
  try {
    await requireSpace(root, library.bytes + library.unpacked);
    const files = await download({ python, library, work });
    for (const { file, wheel } of files) await verify(file, wheel.sha256);
    const unpacked = await unpack({ python, library, work, files });
    await publish(unpacked, directory);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return directory;
}

/** Finds a Python 3 that has pip; `python3` first. */
async function findPython() {
  const check = "import sys; assert sys.version_info >= (3, 8); import pip";
  const found = [];
  for (const python of ["python3", "python"]) {
    const { code, output } = await run(python, ["-c", check]);
    if (code === 0) return python;
    if (code !== -1) found.push(output);
  }
  if (found.length === 0) {
    throw new Unavailable("there is no Python 3 on PATH (needed to fetch TensorFlow's wheel)", installHint());
  }
  if (found.some((output) => output.includes("AssertionError"))) {
    throw new Unavailable("the Python on PATH is older than 3.8", installHint());
  }
  throw new Unavailable("the Python on PATH has no pip (needed to fetch TensorFlow's wheel)", installHint());
}

/**
 * @param {string} root
 * @param {number} bytes
 */
async function requireSpace(root, bytes) {
  const disk = await statfs(root);
  const free = disk.bavail * disk.bsize;
  if (free >= bytes) return;
  const gigabytes = (/** @type {number} */ n) => (n / 1e9).toFixed(1);
  throw new Unavailable(
    `unpacking needs ${gigabytes(bytes)} GB free in ${root}, which has ${gigabytes(free)}`,
    "export PS_CACHE_DIR=/a/folder/with/space",
  );
}

/**
 * @typedef {{ file: string, wheel: import("./wheels.mjs").Wheel }} Fetched
 */

/**
 * @param {{ python: string, library: import("./wheels.mjs").Library, work: string }} from
 * @returns {Promise<Fetched[]>}
 */
async function download({ python, library, work }) {
  const wheels = join(work, "wheel");
  const args = [
    "--quiet",
    "--no-deps",
    "--no-cache-dir",
    "--only-binary=:all:",
    "--retries=2",
    "--dest",
    wheels,
  ];
  const target = [
    "--platform",
    library.tag,
    "--python-version",
    "3.12",
    "--implementation",
    "cp",
    "--abi",
    "cp312",
  ];
  // pip streams into TMPDIR first: inside the work folder it is on the right disk and removed with it.
  const env = { ...process.env, TMPDIR: work, PIP_REQUIRE_VIRTUALENV: "0", PIP_NO_INPUT: "1" };
  const label = `Downloading TensorFlow ${TENSORFLOW_VERSION}`;
  const projects = library.wheels.map(({ project, version }) => `${project}==${version}`);
  const { code, output } = await withProgress(
    { label, total: library.bytes, measure: () => sizeOf(work) },
    (signal) => run(python, [WHEEL_SCRIPT, "fetch", ...args, ...target, ...projects], { env, signal }),
  );
  const names = await readdir(wheels).catch(() => []);
  return library.wheels.map((wheel) => {
    const name = names.find((entry) => entry.startsWith(`${wheel.project.replaceAll("-", "_")}-`));
    if (code !== 0 || name === undefined) throw new Unavailable(explainPip(output));
    return { file: join(wheels, name), wheel };
  });
}

/**
 * Returns the line of pip's output that says why it failed.
 * @param {string} output
 */
export function explainPip(output) {
  const unreachable =
    /NewConnectionError|ConnectTimeout|ReadTimeout|NameResolutionError|ProxyError|ConnectionReset|SSLError|CERTIFICATE_VERIFY_FAILED/.exec(
      output,
    );
  if (unreachable)
    return `pip cannot reach its package index (${unreachable[0]}), so check the network and its proxy`;
  const lines = output
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  const reason = lines.find((line) => /^ERROR|Error\b/.test(line)) ?? lines.at(-1) ?? "it printed nothing";
  if (/aborted|ended by SIGKILL/.test(output)) return "the download made no progress for four minutes";
  return `pip cannot download TensorFlow: ${reason.replace(/^ERROR:\s*/, "").slice(0, 200)}`;
}

/**
 * @param {string} file
 * @param {string} expected
 */
async function verify(file, expected) {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk);
  const actual = hash.digest("hex");
  if (actual !== expected)
    throw new Unavailable(`the wheel that pip fetched has SHA-256 ${actual}, expected ${expected}`);
}

/**
 * @param {{ python: string, library: import("./wheels.mjs").Library, work: string, files: readonly Fetched[] }} from
 * @returns {Promise<string>} the folder, complete
 */
async function unpack({ python, library, work, files }) {
  const directory = join(work, "unpacked");
  const progress = { label: "Unpacking", total: library.unpacked, measure: () => sizeOf(directory) };
  await withProgress(progress, async (signal) => {
    for (const { file, wheel } of files) {
      const args = [WHEEL_SCRIPT, "unpack", file, directory, ...wheel.keep];
      const { code, output } = await run(python, args, { signal });
      if (code === 0) continue;
      throw new Unavailable(`the wheel cannot be unpacked: ${output.trim().split("\n").at(-1)}`);
    }
  });
  const all = await readdir(directory, { recursive: true });
  const checked = all.filter((name) => /\.(so(\.\d+)*|dylib)$/.test(name));
  const sizes = Object.fromEntries(checked.map((name) => [name, statSync(join(directory, name)).size]));
  const wheels = files.map(({ wheel: { project, version, sha256 } }) => ({ project, version, sha256 }));
  await writeFile(join(directory, "complete.json"), `${JSON.stringify({ wheels, sizes }, null, 2)}\n`);
  return directory;
}

/**
 * Renames the finished folder into place; if another run was first, its folder is as good.
 * @param {string} from
 * @param {string} to
 */
export async function publish(from, to) {
  if (!isComplete(to)) await rename(to, join(dirname(from), "incomplete")).catch(ignoreMissing);
  try {
    await rename(from, to);
  } catch (error) {
    if (!isComplete(to)) throw error;
  }
}

/** @param {unknown} error */
function ignoreMissing(error) {
  if (codeOf(error) !== "ENOENT") throw error;
}

/**
 * Returns the bytes of the files under a folder, which other processes may be changing.
 * @param {string} directory
 * @returns {number}
 */
export function sizeOf(directory) {
  try {
    const entries = readdirSync(directory, { withFileTypes: true });
    return entries.reduce((sum, entry) => {
      const path = join(directory, entry.name);
      return (
        sum + (entry.isDirectory() ? sizeOf(path) : (statSync(path, { throwIfNoEntry: false })?.size ?? 0))
      );
    }, 0);
  } catch {
    return 0;
  }
}
