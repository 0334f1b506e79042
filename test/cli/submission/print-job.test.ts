import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { Playground, tinyJob, tinyText } from "../command.ts";

test("--print shows the job with every default, as a job file, and writes nothing", async (t) => {
  const playground = playgroundWith(t);
  playground.write("job.json", { ...tinyJob, shards: undefined });
  const { code, stdout, stderr } = await playground.run("job.json", "--print", "--set", "seed=7");
  assert.equal(stderr, "");
  assert.equal(code, 0);
  const printed = JSON.parse(stdout);
  assert.equal(printed.name, "job");
  assert.equal(printed.seed, 7);
  assert.equal(printed.shards, 1);
  assert.equal(printed.workers, undefined, "it depends on the machine");
  assert.equal(printed.tokenizer, "char");
  assert.equal(printed.optimizer.schedule.decaySteps, tinyJob.steps);
  assert.equal(existsSync(playground.dataDir), false);
  playground.write("printed.json", printed);
  const again = await playground.run("printed.json", "--print");
  assert.deepEqual(JSON.parse(again.stdout), printed);
});

test("--print ends with 2 and every problem of a job that can't be run", async (t) => {
  const playground = playgroundWith(t);
  playground.write("job.json", { ...tinyJob, model: { ...tinyJob.model, context: 8192 } });
  const { code, stdout, stderr } = await playground.run("job.json", "--print");
  assert.match(stderr, /model\.context must be below the number of training tokens 4050, got 8192/);
  assert.equal(code, 2);
  assert.equal(stdout, "");
  assert.equal(existsSync(playground.dataDir), false);
});

function playgroundWith(t: TestContext): Playground {
  const playground = new Playground();
  t.after(() => playground.close());
  playground.write("text.txt", tinyText);
  return playground;
}
