import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { createRecord } from "../../../cli/submission/job-record.ts";
import { openEmbedded } from "../../../cli/targets/open-embedded.ts";
import { withReopening } from "../../../cli/targets/reopening.ts";
import { InvalidInput } from "../../../protocol/errors.ts";
import { pidOf } from "../../local/support.ts";
import { embeddedIn } from "../../support/addresses.ts";
import { linearJob, provenance } from "../../support/lab.ts";

const folder = mkdtempSync(join(tmpdir(), "ps-reopen-"));
after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 200 }));
const open = () => openEmbedded(embeddedIn(folder));

test("an emulator that dies during a submission is started again, and the submission goes on", async () => {
  const record = { spec: linearJob("survives"), dataset: null, provenance };
  let tries = 0;
  await withReopening(open, async (target) => {
    tries++;
    const {
      AWS_ENDPOINT_URL = "",
      AWS_ACCESS_KEY_ID: id = "",
      AWS_SECRET_ACCESS_KEY: secret = "",
    } = target.environment;
    if (tries === 1) process.kill(await pidOf(AWS_ENDPOINT_URL, { id, secret }), "SIGKILL");
    await createRecord(target.cloud, record);
    assert.equal((await target.cloud.jobs.record("survives")).spec.name, "survives");
  });
  assert.equal(tries, 2);
});

test("an error that is not the emulator's death is thrown at once", async () => {
  for (const error of [new InvalidInput("no"), Object.assign(new Error("reset"), { code: "ECONNRESET" })]) {
    let tries = 0;
    const failing = withReopening(open, async () => {
      tries++;
      throw error;
    });
    await assert.rejects(failing, error);
    assert.equal(tries, 1);
  }
});
