import assert from "node:assert/strict";
import { test } from "node:test";
import { workersHere, workersPerRank } from "../../../cli/runner/worker-count.ts";

const GB = 1024 ** 3;
const laptop = { cores: 4, memory: 16 * GB };
const job = { asked: undefined, ranks: 64, parameters: 1_000_000 };

test("a job gets no more workers than ranks, cores and memory, and a note where ranks are more", () => {
  assert.deepEqual(workersHere({ ...job, ranks: 2 }, laptop), { workers: 2, notes: [] });
  const { workers, notes } = workersHere(job, laptop);
  assert.equal(workers, 4);
  assert.match(
    notes.join(),
    /^4 workers for 64 ranks: this machine has 4 cores and 17.*B of free memory; the result is the same/,
  );
  assert.equal(workersHere({ ...job, parameters: 300_000_000 }, laptop).workers, 2);
  assert.equal(workersHere({ ...job, parameters: 3_000_000_000 }, laptop).workers, 1, "at least one");
});

test("a number that is asked for is obeyed, with a note when it is far above what the machine bears", () => {
  assert.deepEqual(workersHere({ ...job, asked: 6 }, laptop), { workers: 6, notes: [] });
  const { workers, notes } = workersHere({ ...job, asked: 64 }, laptop);
  assert.equal(workers, 64);
  assert.match(notes.join(), /^64 workers: this machine has 4 cores .*--workers 4 is likely as fast/);
});

test("on a stack the default is a worker for each rank", () => {
  assert.deepEqual(workersPerRank(job), { workers: 64, notes: [] });
  assert.deepEqual(workersPerRank({ ...job, asked: 3 }), { workers: 3, notes: [] });
});
