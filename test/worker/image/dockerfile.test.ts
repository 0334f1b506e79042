import assert from "node:assert/strict";
import { accessSync, constants, existsSync, readFileSync, statSync } from "node:fs";
import { test } from "node:test";
import { parseDockerfile, stagesOf } from "./dockerfile.ts";

/** Properties of the image that can be checked without building it. */
const instructions = parseDockerfile(readFileSync("worker/Dockerfile", "utf8"));
const stages = stagesOf(instructions);
const [build = [], final = []] = stages;
const texts = (stage: typeof build, name: string) =>
  stage.filter((instruction) => instruction.name === name).map(({ text }) => text);
const { dependencies } = JSON.parse(readFileSync("package.json", "utf8"));

test("it has two stages on the Node that the repository pins, for the processors that Batch has", () => {
  assert.equal(stages.length, 2);
  assert.deepEqual(
    [...texts(build, "FROM"), ...texts(final, "FROM")],
    [" AS build", ""].map((as) => `--platform=linux/amd64 node:${dependencies.node}-bookworm-slim${as}`),
  );
});

test("compilers, Python and sources stay in the first stage", () => {
  assert.deepEqual(texts(final, "RUN"), []);
  const copies = texts(final, "COPY");
  assert.ok(copies.length > 0 && copies.every((text) => text.startsWith("--from=build ")));
});

test("it runs the worker, not as root, in the exec form that signals reach", () => {
  assert.deepEqual(texts(final, "USER"), ["node"]);
  const [entry = ""] = texts(final, "ENTRYPOINT");
  assert.deepEqual(JSON.parse(entry), ["node", "--enable-source-maps", "/app/dist/worker.js"]);
  const { name } = final.at(-1) ?? {};
  assert.equal(name, "ENTRYPOINT", "nothing after it, such as a CMD, which would become its arguments");
});

test("it says its device, and lets TensorFlow take a GPU's memory as it needs it", () => {
  for (const stage of stages) assert.deepEqual(texts(stage, "ARG"), ["DEVICE=gpu"]);
  const [environment = ""] = texts(final, "ENV");
  for (const setting of ["PS_DEVICE=$DEVICE", "TF_FORCE_GPU_ALLOW_GROWTH=true"]) {
    assert.ok(environment.split(" ").includes(setting), setting);
  }
});

test("each step is a script that can be run, copied before it", () => {
  const steps = texts(build, "RUN").map((text) => text.split(" ")[0] ?? "");
  assert.deepEqual(
    steps.map((script) => script.replace(/^worker\/image\/(.*)\.sh$/, "$1")),
    ["tools", "packages", "tensorflow", "assemble"],
  );
  for (const script of steps) {
    accessSync(script, constants.X_OK);
    assert.ok(statSync(script).isFile());
  }
});

test("what it copies is there, and let through by its ignore file", () => {
  const [first, ...allowed] = readFileSync("worker/Dockerfile.dockerignore", "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  assert.equal(first, "*", "all that is not named is left out");
  const names = new Set(allowed.map((line) => line.replace(/^!/, "")));
  for (const name of names) assert.ok(existsSync(name), `${name} is there`);
  for (const copy of texts(build, "COPY")) {
    const sources = copy.split(" ").slice(0, -1);
    for (const source of sources.filter((path) => path !== ".")) {
      const isAllowed = [...names].some(
        (name) => `${source}/`.startsWith(`${name}/`) || name.startsWith(`${source}/`),
      );
      assert.ok(isAllowed, `${source} is let through`);
    }
  }
});
