import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { Playground, tinyJob, tinyText } from "../command.ts";

type Case = {
  readonly what: string;
  readonly job: string | object;
  readonly file?: string;
  readonly says: RegExp;
};

const { steps: _, ...withoutSteps } = tinyJob;

const cases: readonly Case[] = [
  {
    what: "an unknown key",
    job: { ...tinyJob, stepz: 3 },
    says: /^error: job\.json: stepz is not a known field$/m,
  },
  ...Object.entries({
    linear: { model: { type: "linear", inputs: 2, outputs: 2, recompute: true }, data: { type: "linear" } },
    module: { model: { module: "./own.ts", recompute: true }, data: { type: "module" } },
  }).map(([kind, changes]) => ({
    what: `recompute for a ${kind} model, which has no blocks`,
    job: { ...tinyJob, ...changes },
    says: /^error: job\.json: model\.recompute must only be set for a model of blocks \("gpt2", "llama"/m,
  })),
  { what: "a wrong type", job: { ...tinyJob, steps: "ten" }, says: /job\.json: steps must be .*, got "ten"/ },
  { what: "a missing field", job: withoutSteps, says: /job\.json: steps is required/ },
  { what: "ranks 0", job: { ...tinyJob, ranks: 0 }, says: /job\.json: ranks must be at least 1, got 0/ },
  {
    what: "a GPU for the backend that has none",
    job: { ...tinyJob, device: "gpu", backend: "wasm" },
    says: /job\.json: device must be "cpu" or "auto" for backend "wasm", got "gpu"/,
  },
  {
    what: "a missing data file",
    job: { ...tinyJob, data: { type: "text", path: "nowhere.txt" } },
    says: /job\.json: data\.path must name a file that exists, got "nowhere\.txt"/,
  },
  {
    what: "a folder of data with a file that is not UTF-8",
    job: { ...tinyJob, data: { type: "text", path: "." } },
    says: /latin1\.txt is not UTF-8 text/,
  },
  {
    what: "a glob that matches nothing",
    job: { ...tinyJob, data: { type: "text", path: "*.parquet" } },
    says: /data\.path \*\.parquet must match files that exist, it matches none/,
  },
  {
    what: "a tokenizer of no known kind",
    job: { ...tinyJob, tokenizer: { fil: "x" } },
    says: /job\.json: tokenizer must be "char", "byte", \{ "file": PATH \} or .*, got \{"fil":"x"\}/,
  },
  {
    what: "a tokenizer file that is not there",
    job: { ...tinyJob, tokenizer: { file: "none.json" } },
    says: /tokenizer\.file must name a tokenizer\.json or a directory with one, got .*none\.json/,
  },
  {
    what: "empty data",
    job: { ...tinyJob, data: { type: "text", path: "empty.txt" } },
    says: /data\.path empty\.txt is empty/,
  },
  {
    what: "a text that is not UTF-8",
    job: { ...tinyJob, data: { type: "text", path: "latin1.txt" } },
    says: /latin1\.txt is not UTF-8 text/,
  },
  {
    what: "a text shorter than the context",
    job: { ...tinyJob, model: { ...tinyJob.model, context: 8192 } },
    says: /model\.context must be below the number of training tokens 4050, got 8192/,
  },
  {
    what: "a name that S3 and SQS can't hold",
    job: { ...tinyJob, name: "My Job" },
    says: /job\.json: name must be 1 to 50 lower-case letters.*, got "My Job"/,
  },
  {
    what: "a file name that is no job name",
    job: tinyJob,
    file: "My Job.json",
    says: /My Job\.json: name must be .*, got "My Job", from the file's name; set "name" in the file/,
  },
  {
    what: "a file that is not JSON",
    job: '{\n  "steps": 3,\n}',
    says: /job\.json is not JSON at line 3, column 1: /,
  },
  { what: "a file cut short", job: '{\n  "steps": 3', says: /job\.json is not JSON .*line 2, column 13/ },
  { what: "an empty file", job: "", says: /job\.json is not JSON: it is empty/ },
  { what: "a file that is a list", job: "[]", says: /job\.json must hold one JSON object/ },
];

for (const { what, job, file = "job.json", says } of cases) {
  test(`${what} ends with 2 and a message, and creates nothing`, async (t) => {
    const playground = playgroundWith(t);
    playground.write(file, job);
    const { code, stderr, stdout } = await playground.run(file);
    assert.match(stderr, says);
    assert.equal(code, 2);
    assert.equal(stdout, "");
    assert.doesNotMatch(stderr, /\n {4}at /);
    assert.equal(existsSync(playground.dataDir), false);
  });
}

test("all problems of a job file are shown at once, each on a line", async (t) => {
  const playground = playgroundWith(t);
  playground.write("job.json", {
    ...tinyJob,
    ranks: 0,
    stepz: 1,
    data: { type: "text", path: "nowhere.txt" },
  });
  const { stderr } = await playground.run("job.json", "--set", "optimizer.learningRate=-1");
  for (const field of ["ranks", "stepz", "data.path", "optimizer.learningRate"]) {
    assert.ok(
      stderr.includes(`\nerror: job.json: ${field} `) || stderr.startsWith(`error: job.json: ${field} `),
      field,
    );
  }
});

test("a job file that is not there, and wrong usage, end with 2", async (t) => {
  const playground = playgroundWith(t);
  const missing = await playground.run("nowhere.json");
  assert.match(missing.stderr, /^error: there is no job file nowhere\.json/);
  assert.equal(missing.code, 2);
  for (const args of [
    [],
    ["status"],
    ["job.json", "--workers", "0"],
    ["generate", "x"],
    ["job.json", "--nonsense"],
  ]) {
    const { code, stderr } = await playground.run(...args);
    assert.equal(code, 2, args.join(" "));
    assert.notEqual(stderr, "", args.join(" "));
  }
  assert.equal(existsSync(playground.dataDir), false);
});

test("a mistyped command is told which one it may be", async (t) => {
  const playground = playgroundWith(t);
  const cases = { stauts: "status", lst: "list", resum: "resume", "fill-maks": "fill-mask" };
  for (const [word, command] of Object.entries(cases)) {
    const { code, stderr } = await playground.run(word, "some-job", "--json");
    assert.equal(stderr, `error: no job file ${word}; did you mean the command ${command}?\n`);
    assert.equal(code, 2);
  }
  const far = await playground.run("shakespeare");
  assert.match(far.stderr, /^error: there is no job file shakespeare/);
});

test("every command has help with examples", async (t) => {
  const playground = playgroundWith(t);
  const verbs = "status watch list logs cancel resume pull generate doctor".split(" ");
  for (const args of [["--help"], ...verbs.map((verb) => [verb, "--help"])]) {
    const { code, stdout } = await playground.run(...args);
    assert.equal(code, 0);
    assert.match(stdout, /Examples:\n {2}npx ps-submit /, args.join(" "));
  }
});

function playgroundWith(t: TestContext): Playground {
  const playground = new Playground();
  t.after(() => playground.close());
  playground.write("text.txt", tinyText);
  playground.write("empty.txt", "");
  playground.write("latin1.txt", Buffer.from("caf\u00e9 ".repeat(100), "latin1"));
  return playground;
}
