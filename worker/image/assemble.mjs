/**
 * Puts what a worker needs to run into a folder, from an installed and built clone: its bundle, the packages that stay
 * outside of the bundle, and the record that says where native TensorFlow for $DEVICE is (below $PS_CACHE_DIR).
 *
 * usage: DEVICE=gpu|cpu node worker/image/assemble.mjs FOLDER
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const clone = fileURLToPath(new URL("../..", import.meta.url));
const ENTRIES = ["worker.js", "worker-thread.js", "module-program.js"];
const PACKAGES = ["@tensorflow/tfjs", "@tensorflow/tfjs-backend-wasm"];
const STATUS = "native-status.json";
const UNUSED = /\.(map|d\.ts|md|flow)$|_test\.js$|\/(demo|docs|scripts|test|tests)$/;

const device = process.env.DEVICE;
const [target] = process.argv.slice(2);
if (target === undefined || (device !== "gpu" && device !== "cpu")) {
  console.error("usage: DEVICE=gpu|cpu node worker/image/assemble.mjs FOLDER");
  process.exit(2);
}
const folder = resolve(target);
mkdirSync(folder, { recursive: true });
copyBundle();
copyPackages(PACKAGES);
installTensorflow(device);
console.log(`a worker for ${device} is in ${folder}`);

/** The worker's files of dist/, and the chunks that they name. */
function copyBundle() {
  const dist = join(clone, "dist");
  const files = new Set(ENTRIES.map((name) => join(dist, name)));
  for (const file of files) {
    const text = readFileSync(file, "utf8");
    for (const [, path] of text.matchAll(/["'](\.{1,2}\/[\w./-]+\.js)["']/g)) {
      const chunk = resolve(dirname(file), path);
      if (existsSync(chunk)) files.add(chunk);
    }
  }
  for (const file of files) {
    cpSync(file, join(folder, file.slice(clone.length)));
    cpSync(`${file}.map`, join(folder, `${file.slice(clone.length)}.map`));
  }
  const { name, version, type } = JSON.parse(readFileSync(join(clone, "package.json"), "utf8"));
  writeFileSync(join(folder, "package.json"), `${JSON.stringify({ name, version, type, private: true })}\n`);
}

/**
 * Packages with all that they depend on, at the places where npm put them.
 * @param {readonly string[]} names
 */
function copyPackages(names) {
  const found = new Set(names.map((name) => locate(name, clone)));
  for (const directory of found) {
    const { dependencies } = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
    for (const name of Object.keys(dependencies ?? {})) found.add(locate(name, directory));
  }
  for (const directory of found) {
    const skip = (/** @type {string} */ path) => {
      const inside = path.slice(directory.length);
      return UNUSED.test(inside) || inside === "/node_modules";
    };
    const target = join(folder, directory.slice(clone.length));
    cpSync(directory, target, { recursive: true, filter: (source) => !skip(source) });
  }
}

/**
 * The folder of a package as `from` finds it.
 * @param {string} name
 * @param {string} from
 */
function locate(name, from) {
  for (let above = from; above.length >= clone.length - 1; above = dirname(above)) {
    const directory = join(above, "node_modules", name);
    if (existsSync(join(directory, "package.json"))) return directory;
  }
  throw new Error(`the package ${name} is not installed; run npm ci first`);
}

/**
 * Runs the installer, which never fails, and copies what it recorded.
 * @param {string} device
 */
function installTensorflow(device) {
  const env = { ...process.env, PS_TENSORFLOW_DEVICE: device };
  spawnSync(process.execPath, [join(clone, "scripts", "install.mjs")], { env, stdio: "inherit" });
  const status = join(clone, STATUS);
  if (!existsSync(status) || !JSON.parse(readFileSync(status, "utf8")).available) {
    console.error("the worker has no native TensorFlow; see above");
    process.exit(1);
  }
  cpSync(status, join(folder, STATUS));
}
