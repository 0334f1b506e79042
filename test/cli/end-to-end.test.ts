import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createRecord } from "../../cli/submission/job-record.ts";
import { openEmbedded } from "../../cli/targets/open-embedded.ts";
import { embeddedIn } from "../support/addresses.ts";
import { Playground, tinyJob, tinyText } from "./command.ts";

/** One folder for all tests, so that its jobs share an emulator as a user's do. */
let playground: Playground;
let straight: unknown;

before(async () => {
  playground = new Playground();
  playground.write("text.txt", tinyText);
  playground.write("job.json", { ...tinyJob, name: "straight", steps: 80, evaluateEvery: 20 });
  const { code, stdout, stderr } = await playground.run("job.json");
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /^step \d+\/80 {2}loss \d/m);
  assert.match(stdout, /^evaluation at step 80: held-out loss /m);
  assert.match(stdout, /^straight succeeded: 80 steps, loss /m);
  straight = (await playground.status("straight")).sha256;
});

after(() => playground.close());

test("status --json prints one object that scripts can rely on", async () => {
  const { sha256, loss, checkpoint, ...status } = await playground.status("straight");
  assert.match(String(sha256), /^[0-9a-f]{64}$/);
  assert.ok(Number(loss) > 0);
  assert.deepEqual(checkpoint, { version: 80, sha256 });
  const { job, active, reason, step, steps, version, status: how } = status;
  assert.deepEqual(
    { job, active, reason, step, steps, version, how },
    { job: "straight", active: false, reason: null, step: 80, steps: 80, version: 80, how: "succeeded" },
  );
});

test("the same spec again prints the result; another spec under the name is refused with what differs", async () => {
  const again = await playground.run("job.json", "--workers", "1");
  assert.equal(again.code, 0);
  assert.match(again.stdout, /straight succeeded/);
  const other = await playground.run("job.json", "--set", "seed=1");
  assert.equal(other.code, 2);
  assert.match(other.stderr, /the name "straight" is taken by a job with another spec/);
  assert.match(other.stderr, /straight: seed is 1337 there, 1 here/);
});

test("a job cancelled at some step and resumed ends with the same bytes as a straight run", async () => {
  const run = playground.start("job.json", "--set", "name=cancelled");
  await run.says(/^step \d/m);
  const cancel = await playground.run("cancel", "cancelled");
  assert.equal(cancel.code, 0, cancel.stderr);
  const { code, stdout } = await run.ended;
  assert.equal(code, 3, stdout);
  assert.match(stdout, /cancelled stopped at step \d+ of 80; resume it with: npx ps-submit resume cancelled/);
  const resumed = await playground.run("resume", "cancelled", "--workers", "3");
  assert.equal(resumed.code, 0, resumed.stderr);
  assert.equal((await playground.status("cancelled")).sha256, straight);
});

test("Ctrl-C stops a job cleanly, says how to go on and exits with 130", async () => {
  const run = playground.start("job.json", "--set", "name=interrupted");
  await run.says(/^step \d/m);
  run.child.kill("SIGINT");
  const { code, stdout } = await run.ended;
  assert.equal(code, 130, stdout);
  assert.match(
    stdout,
    /interrupted stopped at step \d+ of 80; resume it with: npx ps-submit resume interrupted/,
  );
  const status = await playground.status("interrupted");
  assert.equal(status.status, "stopped");
  assert.equal(status.reason, "interrupted by its user (Ctrl-C)");
});

test("a job whose runner is killed leaves no process, shows as interrupted, and goes on to the same bytes", async () => {
  const run = playground.start("job.json", "--set", "name=killed");
  await run.says(/^step \d/m);
  run.child.kill("SIGKILL");
  await run.ended;
  const { status, active } = await playground.status("killed");
  assert.deepEqual({ status, active }, { status: "running", active: false });
  assert.match((await playground.run("status", "killed")).stdout, /killed was interrupted at step \d+ of 80/);
  await playground.nothingRuns();
  const again = await playground.run("job.json", "--set", "name=killed");
  assert.match(again.stdout, /killed was interrupted at step \d+ of 80; resuming it/);
  assert.equal(again.code, 0, again.stderr);
  assert.equal((await playground.status("killed")).sha256, straight);
});

test("a submission that was cut short is completed by the same one", async () => {
  const target = await openEmbedded(embeddedIn(playground.dataDir));
  const { spec, ...rest } = await target.cloud.jobs.record("straight");
  await createRecord(target.cloud, { ...rest, spec: { ...spec, name: "half" } });
  target.close();
  assert.match((await playground.run("list")).stdout, /^half +half-submitted /m);
  const { code, stderr } = await playground.run("job.json", "--set", "name=half");
  assert.equal(code, 0, stderr);
  assert.equal((await playground.status("half")).sha256, straight);
});

test("a second submission of a running job watches it, and --detach runs it in the background", async () => {
  const detached = await playground.run("job.json", "--set", "name=background", "--detach");
  assert.equal(detached.code, 0, detached.stderr);
  assert.match(detached.stdout, /background runs in the background/);
  const second = await playground.run("job.json", "--set", "name=background");
  assert.match(second.stdout, /background is running in another process; watching it/);
  assert.equal(second.code, 0, second.stderr);
  assert.equal((await playground.status("background")).sha256, straight);
  const failed = await playground.run("job.json", "--set", "name=background", "--set", "seed=1", "--detach");
  assert.equal(failed.code, 2);
  assert.match(failed.stderr, /is taken by a job with another spec/);
});

test("resume --steps trains a job that has succeeded further", async () => {
  const refused = await playground.run("resume", "background");
  assert.match(refused.stderr, /background has succeeded at step 80; to train it further/);
  assert.equal(refused.code, 2);
  const further = await playground.run("resume", "background", "--steps", "90");
  assert.equal(further.code, 0, further.stderr);
  const { step, sha256, status } = await playground.status("background");
  assert.deepEqual({ step, status }, { step: 90, status: "succeeded" });
  assert.notEqual(sha256, straight);
});

test("pull writes what Hugging Face tools load, and does not write over what is there", async () => {
  const pulled = await playground.run("pull", "straight", "models/tiny");
  assert.equal(pulled.code, 0, pulled.stderr);
  const directory = join(playground.directory, "models", "tiny");
  const names = readdirSync(directory);
  for (const name of ["config.json", "model.safetensors", "tokenizer.json", "training_state.json"]) {
    assert.ok(names.includes(name), `${name} in ${names}`);
  }
  const state = JSON.parse(readFileSync(join(directory, "training_state.json"), "utf8"));
  assert.equal(state.sha256, straight);
  const again = await playground.run("pull", "straight", "models/tiny");
  assert.match(again.stderr, /models\/tiny must be empty or not there/);
  assert.equal(again.code, 2);
  const absent = await playground.run("pull", "straight", "models/other", "--version", "7");
  assert.match(absent.stderr, /straight has no version 7; it has /);
  assert.deepEqual(readdirSync(join(playground.directory, "models")), ["tiny"]);
});

test("generate continues a prompt, the same for the same seed, and names a character it can't know", async () => {
  const flags = ["--prompt", "The ", "--max-new-tokens", "20", "--seed", "5"];
  const once = await playground.run("generate", "straight", ...flags);
  const twice = await playground.run("generate", "straight", ...flags);
  assert.equal(once.code, 0, once.stderr);
  assert.equal(once.stdout, twice.stdout);
  assert.match(once.stdout, /^The [\s\S]{20}\n$/);
  const unknown = await playground.run("generate", "straight", "--prompt", "§");
  assert.match(unknown.stderr, /^error: .*"§"/);
  assert.equal(unknown.code, 2);
});

test("generate, evaluate and fill-mask take a job, a version of it, or a directory, and say what they can't do", async () => {
  await playground.run("pull", "straight", "pulled");
  const flags = [
    "--prompt",
    "The ",
    "--prompt",
    "fox",
    "--temperature",
    "0",
    "--max-new-tokens",
    "5",
    "--json",
  ];
  const [job, directory] = [
    await playground.run("generate", "straight", ...flags),
    await playground.run("generate", "pulled", ...flags),
  ];
  assert.equal(job.code, 0, job.stderr);
  assert.equal(job.stdout, directory.stdout);
  assert.equal(job.stdout.trim().split("\n").length, 2);
  const evaluated = await playground.run("evaluate", "pulled", "text.txt", "--json");
  assert.equal(evaluated.code, 0, evaluated.stderr);
  assert.equal(evaluated.stderr, "", "TensorFlow keeps its remarks to itself");
  const { loss, perplexity, predicted, tokens } = JSON.parse(evaluated.stdout);
  assert.ok(loss > 0 && loss < 4 && Math.abs(Math.log(perplexity) - loss) < 1e-9);
  assert.equal(predicted, tokens - 1);
  for (const [args, message] of [
    [["generate", "straight", "--version", "99999", "--prompt", "a"], /has no version 99999; it has \d/],
    [["generate", "pulled", "--version", "1", "--prompt", "a"], /--version goes with a job/],
    [["fill-mask", "pulled", "a [MASK]"], /gpt2 model does not fill masks/],
    [["evaluate", "pulled", "nosuch.txt"], /nosuch\.txt/],
  ] as const) {
    const { code, stderr } = await playground.run(...args);
    assert.equal(code, 2, args.join(" "));
    assert.match(stderr, message);
  }
});

test("list and logs show what there is, and an unknown job or process is named", async () => {
  const { stdout } = await playground.run("list");
  assert.match(stdout, /^straight +succeeded +80\/80 /m);
  assert.match(stdout, /^interrupted +stopped /m);
  assert.match((await playground.run("logs", "straight")).stdout, /^worker-0 +\| \{"time":/m);
  const worker = await playground.run("logs", "straight", "worker-0");
  assert.match(worker.stdout, /"event":"worker started"/);
  for (const args of [
    ["status", "nosuch"],
    ["logs", "nosuch"],
    ["logs", "straight", "worker-9"],
    ["watch", "nosuch"],
  ]) {
    const { code, stderr } = await playground.run(...args);
    assert.equal(code, 2, args.join(" "));
    assert.match(stderr, /^error: .*(nosuch|worker-9)/, args.join(" "));
  }
});

test("a reader that closes the pipe early is no error", async () => {
  const run = playground.start("logs", "straight");
  run.child.stdout?.destroy();
  assert.deepEqual(await run.ended.then(({ code, stderr }) => ({ code, stderr })), { code: 0, stderr: "" });
});

test("doctor finds all that a job needs", async () => {
  const { code, stdout } = await playground.run("doctor");
  assert.equal(code, 0, stdout);
  for (const what of ["Node", "backend", "TensorFlow", "data folder", "endpoint"]) {
    assert.match(stdout, new RegExp(`^(ok|note) +${what} `, "m"));
  }
});

test("when all commands have ended, no process is left", async () => {
  await playground.nothingRuns();
});
