/** Writes families-reference.json: what PyTorch says of the samples. PS_PYTHON names a Python with transformers; then format. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { askTransformers } from "./families.ts";
import { referenceFile, summaryOf } from "./families-on.ts";
import { samples } from "./family-samples.ts";

const directory = mkdtempSync(join(tmpdir(), "ps-families-"));
const { answers } = askTransformers(samples, directory);
rmSync(directory, { recursive: true });
const short = (value: number) => Number(value.toPrecision(7));
const entries = answers.map(({ loss, gradients }, i) => {
  const summaries = Object.entries(gradients).map(([name, values]) => [
    name,
    summaryOf(name, values).map(short),
  ]);
  return [samples[i]?.title, { loss: short(loss), gradients: Object.fromEntries(summaries) }];
});
writeFileSync(referenceFile, `${JSON.stringify(Object.fromEntries(entries))}\n`);
