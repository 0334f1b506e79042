/**
 * Python programs that tests and `npm run localstack` need, each as pinned packages in a folder of its own in the user's
 * cache: installed once, shared by all clones, run with `python -m` and the folder on PYTHONPATH.
 */
import { readFileSync } from "node:fs";
import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cacheDirectory } from "./cache-directory.mjs";
import { sizeOf } from "./install-fetch.mjs";
import { installHint, run, Unavailable, withProgress } from "./install-run.mjs";
import { sweep, workDirectory } from "./install-work.mjs";
import { platformName } from "./native.mjs";

/**
 * @typedef {import("./python-packages.d.mts").PythonProgram} PythonProgram
 * @typedef {import("./python-packages.d.mts").Installed} Installed
 */

/** @type {PythonProgram} S3, SQS, Lambda, CloudFormation and more, in memory. */
export const MINISTACK = {
  name: "ministack",
  version: "1.5.33",
  packages: ["ministack==1.5.33", "cryptography==45.0.7"],
  module: "ministack",
  oldestPython: [3, 10],
  megabytes: 110,
  environment: { IOT_MTLS_ENABLED: "0" },
};

/** @type {PythonProgram} The last LocalStack that runs on Python 3.11 without an account. */
export const LOCALSTACK = {
  name: "localstack",
  version: "4.8.1",
  packages: [
    "localstack-core[runtime]==4.8.1",
    "cbor2==5.7.1",
    "cryptography==45.0.7",
    "pyopenssl==25.1.0",
    "service_identity==24.2.0",
    "psutil<7.1",
  ],
  module: "localstack.runtime.main",
  oldestPython: [3, 11],
  megabytes: 520,
  // Only what a job needs, on this machine only, and nothing that asks the internet.
  environment: { SERVICES: "s3,sqs", DNS_ADDRESS: "0", SKIP_SSL_CERT_DOWNLOAD: "1", DISABLE_EVENTS: "1" },
};

/** Names of Python 3; the newest that LocalStack 4.8.1 is made for comes before the system's own. */
const PYTHONS = ["python3", "python3.11", "python3.12", "python3.13", "python"];

/**
 * Returns the program if it is installed and whole.
 * @param {PythonProgram} program
 * @returns {Installed | undefined}
 */
export function findInstalled(program, root = cacheDirectory()) {
  const directory = directoryOf(program, root);
  try {
    const { python, packages } = JSON.parse(readFileSync(join(directory, "complete.json"), "utf8"));
    if (String(packages) !== String(program.packages)) return undefined;
    return { python, directory, module: program.module };
  } catch {
    return undefined;
  }
}

/**
 * Installs the program unless it is there.
 * @param {PythonProgram} program
 * @param {string} [root]
 * @returns {Promise<Installed>}
 */
export async function ensureInstalled(program, root = cacheDirectory()) {
  const found = findInstalled(program, root);
  if (found) return found;
  await sweep(root);
  const python = await findPython(program);
  const work = await workDirectory(root);
  try {
    const staged = join(work, "packages");
    const quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-compile"];
    const args = ["-m", "pip", "install", ...quiet, "--target", staged, ...program.packages];
    const step = { label: `Installing ${program.name} ${program.version}`, total: program.megabytes * 1e6 };
    const { code, output } = await withProgress({ ...step, measure: () => sizeOf(work) }, (signal) =>
      run(python, args, { env: { ...process.env, TMPDIR: work }, signal }),
    );
    if (code !== 0) throw new Unavailable(`pip cannot install ${program.name}: ${lastError(output)}`);
    const record = { python, packages: program.packages };
    await writeFile(join(staged, "complete.json"), `${JSON.stringify(record, null, 2)}\n`);
    await publish(program, root, staged);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return { python, directory: directoryOf(program, root), module: program.module };
}

/**
 * Returns the command that runs an installed program.
 * @param {Installed} installed
 */
export function commandOf({ python, directory, module }) {
  return { command: python, args: ["-m", module], env: { PYTHONPATH: directory, PYTHONNOUSERSITE: "1" } };
}

/** @param {PythonProgram} program @param {string} root */
function directoryOf({ name, version }, root) {
  return join(root, `${name}-${version}-${platformName()}`);
}

/**
 * Renames the finished folder into place; if another run was first, its folder is as good.
 * @param {PythonProgram} program
 * @param {string} root
 * @param {string} staged
 */
async function publish(program, root, staged) {
  const directory = directoryOf(program, root);
  if (!findInstalled(program, root)) await rm(directory, { recursive: true, force: true });
  try {
    await rename(staged, directory);
  } catch (error) {
    if (!findInstalled(program, root)) throw error;
  }
}

/**
 * Finds the first Python that is new enough and has pip. Returns its full path, as packages belong to one Python.
 * @param {PythonProgram} program
 */
async function findPython({ name, oldestPython }) {
  const check = `import sys; assert sys.version_info >= (${oldestPython.join(", ")}), "old"; import pip; print(sys.executable)`;
  const wanted = oldestPython.join(".");
  let anyPython = false;
  let newEnough = false;
  for (const python of PYTHONS) {
    const { code, stdout, output } = await run(python, ["-c", check]);
    if (code === 0) return stdout.trim();
    anyPython ||= code !== -1;
    newEnough ||= output.includes("No module named pip");
  }
  const fix = `install it with: ${installHint()}`;
  if (newEnough) throw new Unavailable(`the Python on PATH has no pip, which ${name} needs; ${fix}`);
  const what = anyPython ? `no Python on PATH is ${wanted} or newer` : "there is no Python on PATH";
  throw new Unavailable(`${what}, and ${name} needs Python ${wanted} with pip; ${fix}`);
}

/** @param {string} output */
function lastError(output) {
  const lines = output.split("\n").filter((line) => /^ERROR|Error\b/.test(line));
  return (lines.at(-1) ?? output.trim().split("\n").at(-1) ?? "it printed nothing").slice(0, 300);
}
