import assert from "node:assert/strict";
import { mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { datasetFiles } from "../../cli/submission/dataset.ts";
import { openDataset } from "../../ml/data/dataset.ts";
import { prepareText } from "../../ml/data/prepare-text.ts";
import { localFolder } from "../../ml/huggingface/folder.ts";
import { openWeights } from "../../ml/huggingface/weights.ts";
import { ignoreMissing } from "../../protocol/missing.ts";

const folder = mkdtempSync(join(tmpdir(), "ps-missing-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** A file that is there but can't be read, by root neither: a link to itself. */
function unreadable(path: string): void {
  rmSync(path, { force: true });
  symlinkSync(path, path);
}

test("a file is missing where its path leads to nothing, and only there", async () => {
  writeFileSync(join(folder, "file"), "");
  unreadable(join(folder, "circle"));
  assert.equal(await stat(join(folder, "nothing")).catch(ignoreMissing), undefined);
  assert.equal(await stat(join(folder, "file", "below")).catch(ignoreMissing), undefined);
  await assert.rejects(stat(join(folder, "circle")).catch(ignoreMissing), { code: "ELOOP" });
  const denied = Object.assign(new Error("EACCES: permission denied"), { code: "EACCES" });
  await assert.rejects(Promise.reject(denied).catch(ignoreMissing), denied);
});

test("a file of a dataset that can't be read is not taken for one that is not there", async () => {
  const path = join(folder, "text.txt");
  writeFileSync(path, "some text");
  const dataset = await prepareText({ path, tokenizer: "byte", cache: join(folder, "cache") });
  dataset.tokens.close();
  for (const name of ["tokenizer_config.json", "tokens.bin"]) {
    const file = join(dataset.directory, name);
    unreadable(file);
    await assert.rejects(openDataset(dataset.directory), { code: "ELOOP", path: file }, name);
    await assert.rejects(datasetFiles(dataset), { code: "ELOOP", path: file }, name);
    unlinkSync(file);
    await assert.rejects(openDataset(dataset.directory), {
      name: "CorruptData",
      message: `the dataset has no ${name}`,
    });
    assert.ok((await datasetFiles(dataset)).every((uploaded) => uploaded.name !== name));
    writeFileSync(file, "");
  }
});

test("weights in another format that can't be read are not taken for none", async () => {
  const model = mkdtempSync(join(folder, "model-"));
  await assert.rejects(openWeights(localFolder(model)), { message: /has no model\.safetensors/ });
  unreadable(join(model, "pytorch_model.bin"));
  await assert.rejects(openWeights(localFolder(model)), {
    name: "InvalidInput",
    message: /pytorch_model\.bin can't be read: .*ELOOP/,
  });
});
