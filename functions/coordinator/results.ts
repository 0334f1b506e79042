import type { Cloud } from "../../cloud/connect.ts";
import { keys, numberIn } from "../../protocol/keys.ts";
import { parseAs } from "../../protocol/parse.ts";
import { evaluationSchema, type State, trainingStateSchema } from "../../protocol/records.ts";

/** Reads the latest evaluation and the latest complete checkpoint of a job, as its state shows them. */
export async function readResults(
  cloud: Cloud,
  job: string,
): Promise<Pick<State, "evaluation" | "checkpoint">> {
  const [evaluation, checkpoint] = await Promise.all([
    latestEvaluation(cloud, job),
    latestCheckpoint(cloud, job),
  ]);
  return { evaluation, checkpoint };
}

async function latestEvaluation({ store }: Cloud, job: string): Promise<State["evaluation"]> {
  const last = (await store.list(keys.evaluations(job))).at(-1);
  const stored = last && (await store.get(last.key));
  if (!stored) return null;
  const { version, loss } = parseAs(evaluationSchema, stored.body, last.key);
  return { version, loss };
}

/** A checkpoint is complete once it has `training_state.json`, which is written last. */
async function latestCheckpoint({ store }: Cloud, job: string): Promise<State["checkpoint"]> {
  const folders = await store.listFolders(keys.checkpoints(job));
  for (const folder of folders.reverse()) {
    const key = keys.checkpoint(job, numberIn(folder), "training_state.json");
    const stored = await store.get(key);
    if (!stored) continue;
    const { version, sha256 } = parseAs(trainingStateSchema, stored.body, key);
    return { version, sha256 };
  }
  return null;
}
