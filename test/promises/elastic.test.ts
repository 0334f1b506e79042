import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type InProcess, openInProcess } from "../support/in-process.ts";
import { linearJob, waitFor } from "../support/lab.ts";

const job = (name: string) => linearJob(name, { ranks: 4, steps: 15 });
let lab: InProcess;
let expected: string;

before(async () => {
  lab = await openInProcess();
  await lab.run(job("two-workers"));
  expected = await lab.digest("two-workers", 15);
});
after(() => lab.close());

for (const workers of [1, 4]) {
  test(`${workers} workers give the same bytes as two`, async () => {
    const name = `with-${workers}`;
    await lab.submit(job(name));
    const all = Array.from({ length: workers }, (_, i) => lab.addWorker(name, `worker-${i}`));
    assert.equal((await lab.ended(name)).status, "succeeded");
    await Promise.all(all);
    assert.equal(await lab.digest(name, 15), expected);
  });
}

test("workers that join and leave in the middle change nothing", async () => {
  const name = "joining-and-leaving";
  await lab.submit(job(name));
  const reached = (version: number) =>
    waitFor(
      async () => (((await lab.cloud.jobs.state(name)).state.version ?? -1) >= version ? true : null),
      `version ${version}`,
      30_000,
    );
  const first = new AbortController();
  const everyone = [lab.addWorker(name, "first", first.signal)];
  await reached(3);
  everyone.push(...[1, 2, 3].map((i) => lab.addWorker(name, `joined-${i}`)));
  await reached(6);
  first.abort();
  await reached(9);
  everyone.push(lab.addWorker(name, "late"));
  assert.equal((await lab.ended(name)).status, "succeeded");
  await Promise.all(everyone);
  assert.equal(await lab.digest(name, 15), expected);
});
