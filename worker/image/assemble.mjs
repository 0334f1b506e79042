/**
 * Puts what a worker needs to run into a folder, from an installed and built clone: its bundle, the packages that stay
 * outside of the bundle, and native TensorFlow for $DEVICE (in $PS_CACHE_DIR, which the folder then points to).
 *
 * usage: DEVICE=gpu|cpu node worker/image/assemble.mjs FOLDER
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const clone = fileURLToPath(new URL("../..", import.meta.url));
const ENTRIES = ["worker.js", "worker-thread.js"];
const PACKAGES = ["@tensorflow/tfjs", "@tensorflow/tfjs-backend-wasm", "@tensorflow/tfjs-node-gpu"];
/** Only the binding's build reads it. */
const HEADERS = "node-api-headers";
const UNUSED = /\.(map|d\.ts|md|flow)$|_test\.js$|\/(demo|docs|scripts|test|tests)$/;

const device = process.env.DEVICE;
const [given] = process.argv.slice(2);
if (given === undefined || (device !== "gpu" && device !== "cpu")) {
  console.error("usage: DEVICE=gpu|cpu node worker/image/assemble.mjs FOLDER");
  process.exit(2);
}
const folder = resolve(given);
mkdirSync(folder, { recursive: true });
copyBundle();
copyPackages([...PACKAGES, HEADERS]);
installTensorflow(device);
rmSync(join(folder, "node_modules", HEADERS), { recursive: true });
console.log(`a worker for ${device} is in ${folder}`);

/** The worker's files of dist/, and the chunks that they name. */
function copyBundle() {
  const dist = join(clone, "dist");
  const files = new Set(ENTRIES.map((name) => join(dist, name)));
  for (const file of files) {
    const text = readFileSync(file, "utf8");
    const near = [...text.matchAll(/["'](\.{1,2}\/[\w./-]+\.js)["']/g)];
    for (const [, path = ""] of near) {
      if (existsSync(resolve(dirname(file), path))) files.add(resolve(dirname(file), path));
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
      return UNUSED.test(inside) || inside === "/node_modules" || inside.startsWith("/lib/napi-v8");
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
    const place = join(above, "node_modules", name);
    if (existsSync(join(place, "package.json"))) return place;
  }
  throw new Error(`the package ${name} is not installed; run npm ci first`);
}

/**
 * The installer, run in the folder: it never fails, so what it recorded is looked at.
 * @param {string} wanted
 */
function installTensorflow(wanted) {
  cpSync(join(clone, "scripts"), join(folder, "scripts"), { recursive: true });
  const env = { ...process.env, PS_TENSORFLOW_DEVICE: wanted };
  spawnSync(process.execPath, [join(folder, "scripts", "install.mjs")], { env, stdio: "inherit" });
  rmSync(join(folder, "scripts"), { recursive: true });
  const status = join(folder, "node_modules", "@tensorflow", "tfjs-node-gpu", "native-status.json");
  if (existsSync(status) && JSON.parse(readFileSync(status, "utf8")).available) return;
  console.error("the worker has no native TensorFlow; see above");
  process.exit(1);
}
