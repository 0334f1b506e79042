import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

/** The pinned Node needs glibc: where it can't run, as on Alpine, npm's scripts use the Node that npm runs on. */

const root = mkdtempSync(join(tmpdir(), "ps-node-"));
after(() => rmSync(root, { recursive: true, force: true }));
cpSync(new URL("../../scripts", import.meta.url).pathname, join(root, "scripts"), { recursive: true });
const bin = join(root, "node_modules", ".bin");
const link = join(bin, "node");
mkdirSync(join(root, "node_modules", "node", "bin"), { recursive: true });
mkdirSync(bin);
const pinned = join(root, "node_modules", "node", "bin", "node");
const { scripts } = JSON.parse(readFileSync("package.json", "utf8"));

function linkTo(program: string): void {
  rmSync(pinned, { force: true });
  writeFileSync(pinned, program);
  chmodSync(pinned, 0o755);
  rmSync(link, { force: true });
  symlinkSync(join("..", "node", "bin", "node"), link);
}

/** Runs the script that npm runs after an install, as npm does. */
function postinstall(): string {
  const env = { PATH: `${bin}:/usr/bin:/bin`, npm_node_execpath: process.execPath, PS_SKIP_NATIVE: "1" };
  const { stdout, stderr, status } = spawnSync("sh", ["-c", scripts.postinstall], {
    cwd: root,
    env,
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  return stdout;
}

for (const [why, program] of [
  ["whose loader is missing", "#!/lib64/no-such-loader\n"],
  ["that fails at its start", "#!/bin/sh\nexit 127\n"],
] as const) {
  test(`a Node ${why} is taken out of the way, with one line`, () => {
    linkTo(program);
    assert.match(
      postinstall(),
      /The Node in .*node_modules\/\.bin\/node can't run on this system and was removed/,
    );
    assert.equal(existsSync(link), false);
    assert.doesNotMatch(postinstall(), /removed/, "once");
  });
}

test("a Node that runs stays", () => {
  linkTo("#!/bin/sh\necho v24.0.0\n");
  assert.doesNotMatch(postinstall(), /removed/);
  assert.equal(execFileSync(link, ["--version"], { encoding: "utf8" }), "v24.0.0\n");
});
