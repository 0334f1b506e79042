import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { bindingFile, isComplete, libraryDirectory, nativeStatus } from "../../scripts/native.mjs";
import { ended, namesIn, type Sandbox, sandbox, until } from "./sandbox.ts";

const supported = ["linux-x64", "linux-arm64", "darwin-arm64"].includes(
  `${process.platform}-${process.arch}`,
);
const skip = supported
  ? false
  : "TensorFlow has no library for this platform, so there is nothing to install";
const options = { skip, timeout: 60_000 };

/** A stand-in for a pip that writes a part of the wheel and then hangs until its installer ends. */
const SLOW_PYTHON = `
[ "$1" = -c ] && exit 0
while [ "$1" != --dest ]; do shift; done
/bin/mkdir -p "$2" && echo part > "$2/tensorflow.part"
exec /bin/cat > /dev/null`;

/** A stand-in for a pip that answers at once with files of this content, named like the wheels that it was asked for. */
const quickPython = (content: string) => `
[ "$1" = -c ] && exit 0
while [ "$1" != --dest ]; do shift; done
wheels="$2"
/bin/mkdir -p "$wheels"
for argument; do
  case "$argument" in *==*)
    name="\${argument%%==*}"
    while case "$name" in *-*) ;; *) false ;; esac; do name="\${name%%-*}_\${name#*-}"; done
    echo "${content}" > "$wheels/$name-\${argument#*==}-any.whl" ;;
  esac
done`;

/** Fills the cache as an earlier clone does: a whole library folder with its binding. */
function fillCache({ cache }: Sandbox): string {
  const directory = libraryDirectory(cache);
  mkdirSync(join(directory, "tensorflow"), { recursive: true });
  writeFileSync(join(directory, "tensorflow/library"), "12345");
  writeFileSync(bindingFile(directory), "binding");
  writeFileSync(join(directory, "complete.json"), '{"sizes":{"tensorflow/library":5}}');
  return directory;
}

function downloading({ cache }: Sandbox): Promise<void> {
  const part = (name: string) => join(cache, name, "wheel/tensorflow.part");
  return until("the download has begun", () => namesIn(cache).some((name) => existsSync(part(name))));
}

function assertFallsBack({ code, text }: { code: number | null; text: string }, why: RegExp): void {
  assert.equal(code, 0, "npm ci must not fail");
  const lines = text.trim().split("\n");
  assert.match(lines.at(-1) ?? "", why);
  assert.match(
    lines.at(-1) ?? "",
    /wasm backend, about ten times slower\. To fix it: .*npx ps-submit setup$/,
  );
}

test("without a C++ compiler, one line says so before anything is downloaded", options, async (t) => {
  const box = sandbox(t);
  box.stub("python3", "exit 0");
  const result = await box.install();
  assertFallsBack(result, /there is no working C\+\+ compiler \(tried c\+\+, g\+\+, clang\+\+\)/);
  assert.equal(result.text.trim().split("\n").length, 1);
});

test("without Python, one line says so, and the doctor can read it", options, async (t) => {
  const box = sandbox(t);
  box.stub("c++", "exit 0");
  const result = await box.install();
  assertFallsBack(result, /there is no Python 3 on PATH/);
  assert.equal(result.text.trim().split("\n").length, 1);
  const status = JSON.parse(readFileSync(box.statusFile, "utf8"));
  assert.equal(status.available, false);
  assert.match(status.reason, /no Python 3/);
});

test("without pip, with an old Python, without a network: each is told apart", options, async (t) => {
  const box = sandbox(t);
  box.stub("c++", "exit 0");
  box.stub("python3", "echo \"ModuleNotFoundError: No module named 'pip'\" >&2; exit 1");
  assertFallsBack(await box.install(), /Python on PATH has no pip/);
  box.stub("python3", "echo AssertionError >&2; exit 1");
  assertFallsBack(await box.install(), /older than 3\.8/);
  box.stub(
    "python3",
    '[ "$1" = -c ] && exit 0; echo "WARNING: Retrying: NewConnectionError(...)" >&2; exit 1',
  );
  assertFallsBack(await box.install(), /cannot reach its package index \(NewConnectionError\)/);
  box.stub("python3", '[ "$1" = -c ] && exit 0; echo "ERROR: No matching distribution" >&2; exit 1');
  assertFallsBack(await box.install(), /pip cannot download TensorFlow: No matching distribution/);
  assert.deepEqual(namesIn(box.cache), []);
});

test("a folder that cannot be made is named", options, async (t) => {
  const box = sandbox(t);
  box.stub("c++", "exit 0");
  box.stub("python3", SLOW_PYTHON);
  writeFileSync(box.cache, "a file in its place");
  assertFallsBack(await box.install(), /the folder .*cache cannot be written \(EEXIST\)/);
});

test("PS_TENSORFLOW_DEVICE=gpu fetches CUDA's libraries too; another value is named", options, async (t) => {
  const box = sandbox(t);
  box.stub("c++", "exit 0");
  box.stub("python3", `${quickPython("not the wheel")}\necho "$@" > "${box.cache}/asked"`);
  assertFallsBack(await box.install({ PS_TENSORFLOW_DEVICE: "tpu" }), /must be "cpu" or "gpu", got "tpu"/);
  const result = await box.install({ PS_TENSORFLOW_DEVICE: "gpu" });
  if (process.platform !== "linux" || process.arch !== "x64")
    return assertFallsBack(result, /TensorFlow has no library for .*-gpu/);
  assertFallsBack(result, /SHA-256/);
  const asked = readFileSync(join(box.cache, "asked"), "utf8");
  assert.match(asked, / tensorflow==2\.18\.1 .*nvidia-cublas-cu12==.*nvidia-cudnn-cu12==9\./);
});

test("a wheel with another hash is refused and removed", options, async (t) => {
  const box = sandbox(t);
  box.stub("c++", "exit 0");
  box.stub("python3", quickPython("not the wheel"));
  assertFallsBack(await box.install(), /has SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}/);
  assert.deepEqual(namesIn(box.cache), []);
});

test(
  "an install killed half-way leaves nothing that looks installed, and the next one cleans up",
  options,
  async (t) => {
    const box = sandbox(t);
    box.stub("c++", "exit 0");
    box.stub("python3", SLOW_PYTHON);
    const killed = box.start();
    await downloading(box);
    killed.kill("SIGKILL");
    await ended(killed);
    assert.match(namesIn(box.cache).join(), /^work-[^,]*$/);
    assert.equal(existsSync(box.statusFile), false);

    box.stub("python3", quickPython("not the wheel"));
    assertFallsBack(await box.install(), /SHA-256/);
    assert.deepEqual(namesIn(box.cache), []);
  },
);

test("Ctrl-C ends the download and leaves the folder empty", options, async (t) => {
  const box = sandbox(t);
  box.stub("c++", "exit 0");
  box.stub("python3", SLOW_PYTHON);
  const child = box.start();
  await downloading(box);
  child.kill("SIGINT");
  assert.equal(await ended(child), 130);
  assert.deepEqual(namesIn(box.cache), []);
});

test("the work of an install that still runs is left alone", options, async (t) => {
  const box = sandbox(t);
  box.stub("c++", "exit 0");
  box.stub("python3", SLOW_PYTHON);
  const first = box.start();
  await downloading(box);
  const [work] = namesIn(box.cache);
  box.stub("python3", quickPython("not the wheel"));
  await box.install();
  assert.deepEqual(namesIn(box.cache), [work]);
  first.kill("SIGINT");
  await ended(first);
});

test(
  "a second clone only records what the first one prepared: no Python, no compiler",
  options,
  async (t) => {
    const box = sandbox(t);
    const directory = fillCache(box);
    const result = await box.install();
    assert.equal(result.code, 0);
    assert.match(result.text, /^TensorFlow 2\.18\.1 is ready, in /);
    const status = JSON.parse(readFileSync(box.statusFile, "utf8"));
    assert.deepEqual([status.available, status.binding], [true, bindingFile(directory)]);
  },
);

test("a library that lost its tail is not taken for whole", options, async (t) => {
  const box = sandbox(t);
  const directory = fillCache(box);
  assert.equal(isComplete(directory), true);
  writeFileSync(join(directory, "tensorflow/library"), "123");
  assert.equal(isComplete(directory), false);
  assertFallsBack(await box.install(), /no working C\+\+ compiler/);
});

test("a compiler that fails is quoted, and no binding is left", options, async (t) => {
  const box = sandbox(t);
  const directory = fillCache(box);
  rmSync(bindingFile(directory));
  box.stub(
    "c++",
    '[ "$1" = --version ] && exit 0; echo "fatal error: tensorflow/c/c_api.h: No such file" >&2; exit 1',
  );
  assertFallsBack(await box.install(), /c\+\+ cannot build .*c_api\.h: No such file/);
  assert.equal(existsSync(bindingFile(directory)), false);
});

test("a binding that does not load on this machine is not installed", options, async (t) => {
  const box = sandbox(t);
  const directory = fillCache(box);
  rmSync(bindingFile(directory));
  box.stub("c++", 'while [ "$1" != -o ]; do [ "$1" = --version ] && exit 0; shift; done; echo junk > "$2"');
  assertFallsBack(await box.install(), /does not run on this machine/);
  assert.deepEqual(namesIn(directory).sort(), ["complete.json", "tensorflow"]);
});

test("PS_SKIP_NATIVE=1 touches nothing", options, async (t) => {
  const box = sandbox(t);
  const result = await box.install({ PS_SKIP_NATIVE: "1" });
  assert.equal(result.code, 0);
  assert.match(result.text, /^PS_SKIP_NATIVE=1: native TensorFlow is left out/);
  assert.equal(existsSync(box.statusFile), false);
});

test("PS_TENSORFLOW_DIR without a library is named", options, async (t) => {
  const box = sandbox(t);
  assertFallsBack(
    await box.install({ PS_TENSORFLOW_DIR: box.cache }),
    /PS_TENSORFLOW_DIR=.* has no libtensorflow_cc/,
  );
});

const python = spawnSync("python3", ["--version"]).status === 0;

test("only what is needed is unpacked", { skip: python ? false : "there is no python3 here" }, async (t) => {
  const root = mkdtempSync(join(tmpdir(), "ps-unpack-"));
  t.after(() => rmSync(root, { recursive: true }));
  const [wheel, out] = [join(root, "a.whl"), join(root, "out")];
  const make = `import zipfile, sys
with zipfile.ZipFile(sys.argv[1], "w") as z:
    for name in ("keep/a/1", "keep/b", "other", "keepsake"): z.writestr(name, name)`;
  execFileSync("python3", ["-c", make, wheel]);
  const script = new URL("../../scripts/install-wheel.py", import.meta.url).pathname;
  const child = spawn("python3", [script, "unpack", wheel, out, "keep/"], {
    stdio: ["pipe", "inherit", "inherit"],
  });
  assert.equal(await ended(child), 0);
  assert.deepEqual([namesIn(out), namesIn(join(out, "keep")).sort()], [["keep"], ["a", "b"]]);
});

test("the status of this installation is told without loading TensorFlow", () => {
  const status = nativeStatus();
  if (status.available) assert.ok(statSync(status.directory).isDirectory() && existsSync(status.binding));
  else assert.ok(status.reason && status.fix);
});
