import type { Cloud } from "../cloud/connect.ts";
import type { Store } from "../cloud/store.ts";
import type { Dataset } from "../ml/data/dataset.ts";
import { modelOfConfig } from "../ml/huggingface/config.ts";
import { matchWeights } from "../ml/huggingface/match.ts";
import { modelFilesFrom } from "../ml/huggingface/model-files.ts";
import { openWeights } from "../ml/huggingface/weights.ts";
import { modelDescription } from "../ml/models/describe.ts";
import type { ModelDescription } from "../ml/models/model.ts";
import { InvalidInput, Unrecoverable } from "../protocol/errors.ts";
import { divide } from "../protocol/freeze.ts";
import type { JobSpec } from "../protocol/job.ts";
import { encodeJson } from "../protocol/json.ts";
import { keys } from "../protocol/keys.ts";
import { type Layout, planLayout } from "../protocol/layout.ts";
import { slotsOf } from "../protocol/optimizer-spec.ts";
import type { JobRecord } from "../protocol/records.ts";
import { blankShard, sealShard } from "../protocol/shard.ts";
import { storeFrozen } from "./frozen.ts";
import { drawn, fillRange, type Initial, loaded } from "./initial.ts";
import { storedFolder } from "./stored-folder.ts";

/**
 * Writes the start of a job: the model's files, its frozen parameters, `layout.json`, and the shards of version 0,
 * all create-only and a pure function of the job, so that an init task done twice changes nothing. Holds a shard at a
 * time, however large the model.
 */
export async function initialize(
  { store }: Cloud,
  { spec }: JobRecord,
  dataset: Dataset | null,
  own: ModelDescription | null = null,
): Promise<void> {
  const description = modelDescription(spec, dataset, own);
  const start = await openStart(store, spec, description);
  for (const [file, bytes] of Object.entries(start.files)) {
    await store.create(`${keys.modelFiles(spec.name)}${file}`, bytes);
  }
  const layout = await storeLayout(store, spec, description, start.initial);
  const slots = slotsOf(spec.optimizer);
  for (const [index, range] of layout.shards.entries()) {
    const shard = blankShard(layout, index, 0, slots);
    await fillRange(start.initial, layout.tensors, range.start, shard.parameters);
    await store.create(keys.shard(spec.name, 0, index), sealShard(layout, shard, slots, [], 0));
  }
}

type Start = { readonly initial: Initial; readonly files: Readonly<Record<string, Uint8Array>> };

/** Opens the source of the first values, and the files that checkpoints have beside the weights. */
async function openStart(
  store: Store,
  { model, seed }: JobSpec,
  description: ModelDescription,
): Promise<Start> {
  if (model.type !== "pretrained") {
    const texts = Object.entries(description.files);
    const files = Object.fromEntries(texts.map(([file, text]) => [file, new TextEncoder().encode(text)]));
    return { initial: drawn(description.parameters, seed), files };
  }
  const { digest, config } = model;
  if (digest === undefined || config === undefined) {
    throw new InvalidInput("model.digest and model.config must be set; ps-submit does it");
  }
  const folder = await storedFolder(store, digest);
  const weights = await openWeights(folder);
  const { family, config: sizes } = modelOfConfig(config, `config.json of ${model.from}`);
  const match = matchWeights(weights, family, sizes);
  return { initial: loaded(weights, match, seed), files: await modelFilesFrom(folder, config, description) };
}

async function storeLayout(
  store: Store,
  { name: job, shards, ranks, freeze }: JobSpec,
  { parameters }: ModelDescription,
  initial: Initial,
): Promise<Layout> {
  const { trained, frozen } = divide(parameters, freeze);
  const plan = planLayout(trained, shards, ranks);
  if (shards > plan.parameters) {
    throw new Unrecoverable(`shards must be at most ${plan.parameters} (the parameters), got ${shards}`);
  }
  const layout =
    frozen.length === 0 ? plan : { ...plan, frozen: await storeFrozen(store, job, frozen, initial) };
  await store.create(keys.layout(job), encodeJson(layout));
  return layout;
}
