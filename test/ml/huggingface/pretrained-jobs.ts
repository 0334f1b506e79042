import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";
import { writeModel } from "../../../cli/models/model-directory.ts";
import { type PreparedJob, prepareJob, uploadInputs } from "../../../cli/submission/prepare-job.ts";
import { wakeCoordinator } from "../../../cloud/wake.ts";
import { bytesOf } from "../../../protocol/digest.ts";
import { parseJobFile } from "../../../protocol/job.ts";
import { initialize } from "../../../worker/init.ts";
import { type InProcess, openInProcess } from "../../support/in-process.ts";
import { waitFor } from "../../support/lab.ts";
import { TEXT } from "../../support/models.ts";
import { type Dtype, writeDirectory } from "./fixture.ts";
import { readCheckpoint } from "./read-checkpoint.ts";

/** Jobs that start from a Hugging Face directory, and jobs with frozen parameters. */
export const folder = mkdtempSync(join(tmpdir(), "ps-pretrained-"));
export const values = new Map<string, Map<string, Float32Array>>();
export let lab: InProcess;

before(async () => {
  writeFileSync(join(folder, "text.txt"), TEXT.repeat(5));
  for (const type of ["gpt2", "bert", "llama"] as const) {
    for (const dtype of ["F32", "F16", "BF16"] satisfies Dtype[]) {
      const name = `${type}-${dtype}`;
      values.set(name, writeDirectory(join(folder, name), type, { dtype, files: dtype === "BF16" ? 3 : 1 }));
    }
  }
  lab = await openInProcess();
});
after(async () => {
  await lab.close();
  rmSync(folder, { recursive: true, force: true });
});

export function prepared(name: string, changes: Record<string, unknown>): Promise<PreparedJob> {
  const job = {
    name,
    model: { from: "gpt2-F16" },
    data: { type: "text", path: "text.txt" },
    optimizer: { type: "adamw", learningRate: 0.01, clipNorm: 1 },
    steps: 3,
    ranks: 2,
    shards: 3,
    batch: 2,
    backend: "wasm",
    ...changes,
  };
  const textPath = join(folder, "text.txt");
  const file = { job: parseJobFile(job, name), textPath, folder };
  return prepareJob(file, { cache: join(lab.target.home, "cache"), environment: {} });
}

/** Runs a job to its end; gives the SHA-256 of its parameters, and its last version's directory. */
export async function run(name: string, changes: Record<string, unknown>) {
  const job = await prepared(name, changes);
  await uploadInputs(lab.cloud, job);
  const state = await lab.run(job.spec, 60_000, job.dataset ?? undefined);
  assert.equal(state.status, "succeeded", state.reason ?? "");
  const directory = join(folder, `out-${name}`);
  await writeModel(lab.cloud, name, directory, { version: job.spec.steps });
  return { spec: job.spec, sha256: state.checkpoint?.sha256, directory };
}

/** Which tensors of a directory have the same bits as another's. */
export async function sameTensors(one: string, other: string): Promise<Map<string, boolean>> {
  const [before, after] = [await parametersOf(one), await parametersOf(other)];
  return new Map(
    [...after].map(([name, now]) => {
      const then = before.get(name) ?? new Float32Array();
      return [name, Buffer.compare(bytesOf(now), bytesOf(then)) === 0];
    }),
  );
}

export async function parametersOf(directory: string): Promise<Map<string, Float32Array>> {
  const { parameters } = await readCheckpoint(directory);
  return new Map(parameters.map((parameter) => [parameter.name, parameter.values]));
}

export const inOrder = (parameters: ReadonlyMap<string, Float32Array>) =>
  [...parameters].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => bytesOf(value));

export const startsAt = async (name: string, changes: Record<string, unknown>) => {
  const job = await prepared(name, changes);
  await uploadInputs(lab.cloud, job);
  await lab.submit(job.spec, job.dataset ?? undefined);
  await initialize(lab.cloud, await lab.cloud.jobs.record(name), job.dataset);
  await wakeCoordinator(lab.cloud, name, "initialized");
  const look = async () => ((await lab.cloud.jobs.state(name)).state.version === 0 ? true : null);
  await waitFor(look, "version 0", 30_000);
  const directory = join(folder, `start-${name}`);
  await writeModel(lab.cloud, name, directory, { version: 0 });
  return directory;
};
