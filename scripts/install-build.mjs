/** Builds tfjs-node's C++ binding against an unpacked library. */
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { bindingSources } from "./binding-sources.mjs";
import { installHint, run, Unavailable } from "./install-run.mjs";
import { workFile } from "./install-work.mjs";

/**
 * Builds the binding into `target`: compiled aside, loaded once to prove it, then renamed.
 * @param {{ compiler: string, tensorflow: string, libraries: readonly string[], runpath: string, target: string }} build
 * @returns {Promise<string>} the version of the TensorFlow library it runs on
 */
export async function buildBinding({ compiler, tensorflow, libraries, runpath, target }) {
  const directory = requireSources();
  const sources = await sourcesIn(directory);
  const aside = workFile(dirname(target), "binding.node");
  const includes = [nodeApiHeaders(), join(tensorflow, "include"), directory];
  const args = [
    ...["-std=c++17", "-O2", "-fPIC", "-DNAPI_VERSION=8", "-w", "-o", aside],
    ...(process.platform === "darwin" ? ["-bundle", "-undefined", "dynamic_lookup"] : ["-shared"]),
    ...includes.map((folder) => `-I${folder}`),
    ...sources,
    ...libraries.map((name) => join(tensorflow, name)),
    `-Wl,-rpath,${runpath}`,
  ];
  try {
    await mkdir(dirname(target), { recursive: true });
    await compile(compiler, args);
    const version = await prove(aside);
    await rename(aside, target);
    return version;
  } finally {
    await rm(aside, { force: true });
  }
}

/** Returns the folder of the binding's sources, which are looked for before the long download. */
export function requireSources() {
  const directory = bindingSources();
  if (directory !== undefined) return directory;
  throw new Unavailable(
    "the sources of TensorFlow's Node binding are a development package",
    "npm ci --include=dev",
  );
}

/** @param {string} directory */
async function sourcesIn(directory) {
  const names = await readdir(directory);
  return names.filter((name) => name.endsWith(".cc")).map((name) => join(directory, name));
}

function nodeApiHeaders() {
  try {
    const file = createRequire(import.meta.url).resolve("node-api-headers/package.json");
    return join(dirname(file), "include");
  } catch {
    throw new Unavailable("the package node-api-headers is not installed", "npm install");
  }
}

/** Finds the C++ compiler: $CXX, or the first on PATH. It is looked for before the long download. */
export async function findCompiler() {
  const candidates = process.env.CXX ? [process.env.CXX] : ["c++", "g++", "clang++"];
  for (const compiler of candidates) {
    if ((await run(compiler, ["--version"])).code === 0) return compiler;
  }
  throw new Unavailable(`there is no working C++ compiler (tried ${candidates.join(", ")})`, installHint());
}

/**
 * @param {string} compiler
 * @param {readonly string[]} args
 */
async function compile(compiler, args) {
  const { code, output } = await run(compiler, args);
  if (code === 0) return;
  const line = output.split("\n").find((text) => /error|cannot/.test(text)) ?? output.trim();
  throw new Unavailable(`${compiler} cannot build TensorFlow's Node binding (${line.slice(0, 300)})`);
}

/**
 * Loads the binding in a process of its own: an old CPU or C library ends that process, not this one.
 * @param {string} file
 */
async function prove(file) {
  const code = "process.stdout.write(require(process.argv[1]).TF_Version)";
  const env = { ...process.env, TF_CPP_MIN_LOG_LEVEL: "2" };
  const result = await run(process.execPath, ["-e", code, file], { env });
  if (result.code === 0 && result.stdout !== "") return result.stdout;
  const lines = result.output.trim().split("\n");
  const line = lines.find((text) => /Error|instructions|GLIBC/.test(text)) ?? lines.at(-1);
  throw new Unavailable(`the TensorFlow library does not run on this machine: ${line?.slice(0, 300)}`);
}
