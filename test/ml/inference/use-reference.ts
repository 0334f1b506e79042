/** Writes use-reference.json: what transformers answers. PS_PYTHON names a Python that has it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { askTransformers, referenceFile, writeModels } from "./use.ts";

const directory = mkdtempSync(join(tmpdir(), "ps-use-"));
writeModels(directory);
writeFileSync(referenceFile, `${JSON.stringify(askTransformers(directory), null, 2)}\n`);
rmSync(directory, { recursive: true });
