/** Writes transformers-answers.json, the answers of transformers. PS_PYTHON names a Python that has it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { answersFile, askTransformers, writeModels } from "./transformers-requests.ts";

const directory = mkdtempSync(join(tmpdir(), "ps-inference-"));
writeModels(directory);
writeFileSync(answersFile, `${JSON.stringify(askTransformers(directory), null, 2)}\n`);
rmSync(directory, { recursive: true });
