import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { inSchemaOrder } from "../../../cli/submission/field-order.ts";
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

test("--print shows fields in the order of docs/jobs.md", async (t) => {
  const playground = playgroundWith(t);
  playground.write("job.json", { ...tinyJob, shards: undefined, optimizer: { weightDecay: 0, clipNorm: 2 } });
  const { stdout } = await playground.run("job.json", "--print");
  const printed = JSON.parse(stdout);
  assert.deepEqual(
    Object.keys(printed).slice(0, 8).join(),
    "name,model,data,steps,tokenizer,optimizer,batch,accumulation",
  );
  assert.equal(Object.keys(printed.model)[0], "type");
  assert.equal(Object.keys(printed.data)[0], "type");
  assert.equal(
    Object.keys(printed.optimizer).join(),
    "type,learningRate,schedule,clipNorm,beta1,beta2,epsilon,weightDecay",
  );
  assert.equal(Object.keys(printed.optimizer.schedule)[0], "type");
  const written = { steps: 3, model: { width: 8, type: "llama", heads: 2, hidden: 9, layers: 1 } };
  assert.equal(
    JSON.stringify(inSchemaOrder(written)),
    '{"model":{"type":"llama","layers":1,"heads":2,"width":8,"hidden":9},"steps":3}',
  );
});

function playgroundWith(t: TestContext): Playground {
  const playground = new Playground();
  t.after(() => playground.close());
  playground.write("text.txt", tinyText);
  return playground;
}
