import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { readJobFile } from "../../../cli/submission/job-file.ts";
import { program } from "../../../cli/targets/paths.ts";

const folder = mkdtempSync(join(tmpdir(), "ps-job-file-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const JOB = `{
  "model": { "type": "linear", "inputs": 10, "outputs": 10 },
  "data": { "type": "linear" },
  "optimizer": { "type": "sgd", "learningRate": 0.1 },
  "steps": 5,
  "batch": 32
}
`;

function read(content: string | Uint8Array) {
  const path = join(folder, "job.json");
  writeFileSync(path, content);
  return readJobFile(path, []).job;
}
const refuse = (content: string | Uint8Array, message: RegExp) =>
  assert.throws(() => read(content), { name: "InvalidInput", message });

test("a job file may have comments, and a byte order mark", () => {
  const plain = read(JOB);
  assert.deepEqual(read(`\uFEFF${JOB}`), plain);
  assert.deepEqual(read(`// a job\n${JOB.replace('"steps"', '/* how long */ "steps"')}`), plain);
});

test("a fault of a job file is named with its line and column", () => {
  refuse(
    JOB.replace("5,", "ten,"),
    /job\.json is not JSON at line 5, column 12: "ten" is no JSON; texts and names stand in double quotes$/,
  );
  refuse(JOB.replace("32\n", "32,\n"), /line 7, column 1: .*got "}", or the comma before it is too many$/);
  refuse(JOB.replace("5,", "5"), /line 6, column 3: a comma must stand before this, got "\\"batch\\""/);
  refuse(JOB.replace('"steps"', '"steps'), /line 5, column 3: a text must end with a double quote/);
  refuse(JOB.slice(0, -3), /line 6, column 14: a } is missing, at the end/);
  refuse(`${JOB}{}`, /line 8, column 1: the job ends before this/);
  refuse(JOB.replace('"steps": 5', '"steps": 5, "steps": 50'), /line 5, column 15 has "steps" a second time/);
});

test("a job file in another encoding, or one that was never downloaded, is named for what it is", () => {
  refuse(Buffer.from(`\uFEFF${JOB}`, "utf16le"), /is UTF-16 text; convert it: iconv -f UTF-16 -t UTF-8/);
  refuse(Buffer.from(JOB, "utf16le"), /is UTF-16LE text; convert it: iconv -f UTF-16LE/);
  refuse(
    "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
    /Git LFS pointer.*git lfs pull/,
  );
  refuse("<!DOCTYPE html>\n<html></html>", /is an HTML page/);
});

test("a job is read from standard input", () => {
  const submit = (input: string, ...args: string[]) =>
    spawnSync(process.execPath, [program("ps-submit"), "-", "--print", ...args], {
      cwd: folder,
      input,
      encoding: "utf8",
      env: { ...process.env, PS_DATA_DIR: join(folder, ".ps") },
    });
  const named = submit(JOB, "--set", "name=2024");
  assert.equal(named.stderr, "");
  assert.equal(JSON.parse(named.stdout).name, "2024");
  const nameless = submit(JOB);
  assert.match(nameless.stderr, /^error: standard input: name is required/);
  assert.equal(nameless.status, 2);
  assert.match(submit("{").stderr, /^error: standard input is not JSON at line 1, column 2/);
});
