import assert from "node:assert/strict";
import { test } from "node:test";
import { DamagedObject, DamagedOnItsWay, rereading } from "../../cloud/damage.ts";
import { CorruptData, TryAgain } from "../../protocol/errors.ts";

/** Reads that fail in turn, then succeed. */
function reads(...faults: readonly Error[]) {
  let count = 0;
  const read = async () => {
    const fault = faults[count++];
    if (fault) throw fault;
    return "whole";
  };
  return { read, count: () => count };
}

test("bytes that come damaged three times are read a fourth time", async () => {
  const { read, count } = reads(new CorruptData("a"), new CorruptData("a"), new DamagedOnItsWay("broke off"));
  assert.equal(await rereading("jobs/a", read), "whole");
  assert.equal(count(), 4);
});

test("the same fault in four reads is of the object, which is named", async () => {
  const { read, count } = reads(...Array.from({ length: 9 }, () => new CorruptData("it is 12, not 13")));
  await assert.rejects(rereading("jobs/a", read), (error) => {
    assert.ok(error instanceof DamagedObject);
    assert.equal(error.key, "jobs/a");
    assert.equal(error.message, "it is 12, not 13 (jobs/a, read 4 times)");
    return true;
  });
  assert.equal(count(), 4);
});

test("another fault in each read is an outage", async () => {
  const { read } = reads(...["1", "2", "3", "4"].map((digest) => new CorruptData(digest)));
  await assert.rejects(rereading("jobs/a", read), { retryable: true, message: /each time in another way/ });
});

test("an error that is not of the bytes is not tried again", async () => {
  const { read, count } = reads(new TryAgain("it is not there"));
  await assert.rejects(rereading("jobs/a", read), /it is not there/);
  assert.equal(count(), 1);
});
