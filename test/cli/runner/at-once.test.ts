import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Playground } from "../command.ts";

/** Several submissions of one name at the same time. */

const playground = new Playground();
after(() => playground.close());

const job = {
  name: "one",
  model: { type: "linear", inputs: 4, outputs: 4 },
  data: { type: "linear" },
  optimizer: { type: "sgd", learningRate: 0.1 },
  steps: 20,
  batch: 8,
  backend: "wasm",
};

test("the same job is trained once, and all who submitted it see it end; another is refused", async () => {
  playground.write("job.json", job);
  playground.write("other.json", { ...job, steps: 21 });
  const submissions = ["job.json", "job.json", "other.json"].map((file) => playground.run(file));
  const results = await Promise.all(submissions);
  const { steps } = await playground.status("one");
  const [same, different] = steps === 20 ? ["job.json", "other.json"] : ["other.json", "job.json"];
  for (const [i, file] of ["job.json", "job.json", "other.json"].entries()) {
    const { code, stdout, stderr } = results[i] ?? assert.fail();
    if (file === same) {
      assert.equal(code, 0, stderr);
      assert.match(stdout, /one succeeded: 2[01] steps/);
    } else {
      assert.equal(file, different);
      assert.equal(code, 2);
      assert.match(stderr, /the name "one" is taken by a job with another spec.*one: steps is/s);
    }
  }
});
