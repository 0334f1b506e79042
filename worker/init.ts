import type { Cloud } from "../cloud/connect.ts";
import { Unrecoverable } from "../protocol/errors.ts";
import { slotsOf } from "../protocol/job.ts";
import { keys } from "../protocol/keys.ts";
import { planLayout } from "../protocol/layout.ts";
import { encodeRecord, type JobRecord } from "../protocol/records.ts";
import { blankShard, sealShard } from "../protocol/shard.ts";
import type { Dataset } from "./data/text.ts";
import { describeModel, initialParameters } from "./trainer.ts";

/**
 * Writes what a job starts from: the model's files, `layout.json`, and the shards of version 0, all create-only and
 * a pure function of the job, so that an init task done twice changes nothing.
 */
export async function initialize(
  { store }: Cloud,
  { spec }: JobRecord,
  dataset: Dataset | null,
): Promise<void> {
  const { name: job } = spec;
  const description = describeModel(spec, dataset);
  const layout = planLayout(description.parameters, spec.shards, spec.ranks);
  if (spec.shards > layout.parameters) {
    throw new Unrecoverable(
      `shards must be at most ${layout.parameters} (the parameters), got ${spec.shards}`,
    );
  }
  for (const [file, text] of Object.entries(description.files)) {
    await store.create(`${keys.modelFiles(job)}${file}`, new TextEncoder().encode(text));
  }
  await store.create(keys.layout(job), encodeRecord(layout));

  const theta = initialParameters(description, layout, spec.seed);
  const slots = slotsOf(spec.optimizer);
  for (const [index, { start, end }] of layout.shards.entries()) {
    const shard = blankShard(layout, index, 0, slots);
    shard.parameters.set(theta.subarray(start, end));
    await store.create(keys.shard(job, 0, index), sealShard(layout, shard, slots, [], 0));
  }
}
