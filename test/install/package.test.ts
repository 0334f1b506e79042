import assert from "node:assert/strict";
import { execFile, execFileSync, spawn } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { bindingFile, isComplete, libraryDirectory, SETUP_COMMAND } from "../../scripts/native.mjs";

/**
 * The package as people install it: `npm install FILE.tgz` in an empty folder, a model of one's own beside it, and ten
 * steps of training. npm gets the dependencies from its registry or cache; TensorFlow's library is taken from the
 * user's cache, and never downloaded.
 */
const library = libraryDirectory();
const hasLibrary = isComplete(library);
const root = mkdtempSync(join(tmpdir(), "ps-package-"));
// In the background: two installations are 35,000 files.
after(() => spawn("rm", ["-rf", root], { detached: true, stdio: "ignore" }).unref());

type Ended = { readonly code: number; readonly text: string };

/** The user's environment, without what npm and this suite have put into it. */
function environment(extra: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(
    ([name]) => !/^(npm_|PS_|NODE_OPTIONS|NODE_TEST)/.test(name),
  );
  const native = hasLibrary ? {} : { PS_SKIP_NATIVE: "1" };
  return { ...Object.fromEntries(own), ...native, ...extra };
}

function run(cwd: string, line: string, extra: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const [command = "", ...args] = line.split(" ");
  return new Promise((done) => {
    execFile(command, args, { cwd, env: environment(extra), timeout: 120_000 }, (error, stdout, stderr) =>
      done({ code: error === null ? 0 : Number(error.code ?? -1), text: `${stdout}${stderr}` }),
    );
  });
}

const reached = await run(root, "npm ping --fetch-retries=0 --fetch-timeout=15000");
const skip = reached.code === 0 ? false : "npm cannot reach its registry, from which the dependencies come";

let tarball = "";
before(async () => {
  if (skip !== false) return;
  const packed = await run(resolve("."), `npm pack --ignore-scripts --silent --pack-destination ${root}`);
  assert.equal(packed.code, 0, packed.text);
  tarball = join(root, packed.text.trim());
});

const MODEL = `import type { UserModel } from "serverless-ps";

const model: UserModel = {
  parameters: () => [{ name: "weight", shape: [4], init: { type: "normal", deviation: 1 } }],
  batch: ({ part, step, rank, micro, rows, normal }) => ({
    x: { shape: [rows, 4], values: normal([part, step, rank, micro].join(" "), rows * 4) },
  }),
  loss: (tf, theta, { x }) => tf.mean(tf.square(tf.mul(x ?? 0, theta.weight ?? 0))).asScalar(),
};
export default model;
`;
const JOB = {
  ...{ name: "ten", model: { module: "./model.ts" }, data: { type: "module" }, steps: 10 },
  ...{ batch: 8, optimizer: { type: "sgd", learningRate: 0.1 } },
};

/** Installs the package in an empty folder that then has a model and a job too. */
async function install(name: string, options = ""): Promise<string> {
  const folder = join(root, name);
  mkdirSync(folder);
  writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }\n');
  writeFileSync(join(folder, "model.ts"), MODEL);
  writeFileSync(join(folder, "job.json"), JSON.stringify(JOB));
  const installed = await run(folder, `npm install --prefer-offline --no-audit ${options}${tarball}`);
  assert.equal(installed.code, 0, installed.text);
  return folder;
}

async function trainTenSteps(folder: string, extra: Readonly<Record<string, string>> = {}): Promise<void> {
  const trained = await run(folder, "npx --no ps-submit job.json", extra);
  assert.equal(trained.code, 0, trained.text);
  const status = await run(folder, "npx --no ps-submit status ten --json", extra);
  const { status: ended, step } = JSON.parse(status.text);
  assert.deepEqual([ended, step], ["succeeded", 10]);
  if (hasLibrary) assert.match(trained.text, /tensorflow 2\.18\.1 on cpu/);
}

test("npm pack holds what runs, and neither sources nor tests", { skip }, () => {
  const names = execFileSync("tar", ["-tzf", tarball], { encoding: "utf8" }).trim().split("\n");
  const folders = new Set(names.map((name) => name.split("/").slice(1, -1)[0] ?? ""));
  assert.deepEqual([...folders].sort(), ["", "dist", "examples", "ml", "scripts"]);
  assert.deepEqual(
    names.filter((name) => name.startsWith("package/ml/")),
    ["package/ml/models/user-model-types.d.ts"],
  );
});

test("installed from its file, it trains ten steps of a model with the package's types", {
  skip,
}, async () => {
  const folder = await install("with-scripts");
  assert.equal(readdirSync(join(folder, "node_modules/@tensorflow")).includes("tfjs-node-gpu"), false);
  const tsc = resolve("node_modules/typescript/bin/tsc");
  const flags = "--noEmit --strict --skipLibCheck --module nodenext --target es2022";
  const checked = await run(folder, `${process.execPath} ${tsc} ${flags} model.ts`);
  assert.equal(checked.code, 0, checked.text);
  await trainTenSteps(folder);
});

test("where npm runs no scripts, one printed command prepares native TensorFlow", { skip }, async () => {
  const folder = await install("without-scripts", "--ignore-scripts ");
  const cache = join(root, "cache");
  const own = { XDG_CACHE_HOME: cache };
  const before = await run(folder, "npx --no ps-submit doctor", own);
  if (hasLibrary) assert.ok(before.text.includes(`to fix it: ${SETUP_COMMAND}\n`), before.text);
  await trainWithoutLibrary(folder, own);
  if (!hasLibrary) return;
  copyLibrary(join(cache, "serverless-ps", basename(library)));
  const prepared = await run(folder, SETUP_COMMAND, own);
  assert.match(prepared.text, /TensorFlow 2\.18\.1 is ready/);
  assert.equal(prepared.code, 0);
  rmSync(join(folder, ".ps"), { recursive: true });
  await trainTenSteps(folder, own);
});

async function trainWithoutLibrary(folder: string, own: Readonly<Record<string, string>>): Promise<void> {
  const trained = await run(folder, "npx --no ps-submit job.json", own);
  assert.equal(trained.code, 0, trained.text);
  if (hasLibrary) assert.ok(trained.text.includes(SETUP_COMMAND), trained.text);
}

/** The library as a download leaves it, and the binding as a compiler does, so that none is needed here. */
function copyLibrary(directory: string): void {
  mkdirSync(directory, { recursive: true });
  for (const name of readdirSync(library)) {
    if (name.startsWith("tensorflow")) symlinkSync(join(library, name), join(directory, name));
  }
  cpSync(bindingFile(library), bindingFile(directory));
  writeFileSync(join(directory, "complete.json"), readFileSync(join(library, "complete.json")));
}
