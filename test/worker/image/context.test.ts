import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFileSync, cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { App, Stack } from "aws-cdk-lib";
import { createImageAsset } from "../../../infra/worker-image.ts";

/** A copy of the repository's files, to change some and see which of them change the image. */
const clone = mkdtempSync(join(tmpdir(), "ps-context-"));
const outdir = mkdtempSync(join(tmpdir(), "ps-context-out-"));
before(() => {
  const names = execFileSync("git", ["ls-files", "-z"], { encoding: "utf8" }).split("\0");
  for (const name of names.filter((name) => name !== "" && !name.startsWith("test/"))) {
    cpSync(name, join(clone, name));
  }
});
after(() => {
  for (const folder of [clone, outdir]) rmSync(folder, { recursive: true });
});

/** The hash under which `cdk deploy` stores the image: with the same hash it builds and uploads nothing. */
const hashOfImage = () => createImageAsset(new Stack(new App({ outdir }), "Workers"), "cpu", clone).assetHash;

test("a change of the command line, the documents or a script that builds no worker makes no new image", () => {
  const before = hashOfImage();
  appendFileSync(join(clone, "cli/terminal/progress.ts"), "\n// Another colour.\n");
  writeFileSync(join(clone, "cli/new.ts"), "export const colour = 31;\n");
  for (const name of ["README.md", "infra/app.ts", "functions/updates.ts", "scripts/localstack.mjs"]) {
    appendFileSync(join(clone, name), "\n");
  }
  assert.equal(hashOfImage(), before);
});

for (const name of ["ml/models/llama.ts", "worker/main.ts", "scripts/build.mjs", "package-lock.json"]) {
  test(`a change of ${name} makes a new image`, () => {
    const before = hashOfImage();
    appendFileSync(join(clone, name), "\n");
    assert.notEqual(hashOfImage(), before);
  });
}
