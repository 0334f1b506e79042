import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import type { Family, ModelConfig } from "../../../ml/models/family.ts";
import type { Batch, Tensors } from "../../../ml/models/model.ts";
import type { Tf } from "../../../ml/tensorflow/backend.ts";
import { sampleValues, writeModel } from "../../support/models.ts";
import { python } from "../../support/python.ts";

/** Small models of every family and batches for them, and what transformers makes of both. */
export type Sample = {
  readonly title: string;
  readonly family: Family;
  readonly config: ModelConfig;
  readonly ids: readonly (readonly number[])[];
  /** 0: padding. */
  readonly mask: readonly (readonly number[])[] | null;
  readonly types: readonly (readonly number[])[] | null;
  /** -100: nothing to predict there. */
  readonly labels: readonly (readonly number[])[];
};

const answerSchema = z.array(
  z.object({
    architecture: z.string(),
    missing: z.array(z.string()),
    unexpected: z.array(z.string()),
    mismatched: z.array(z.string()),
    logits: z.array(z.number()),
    loss: z.number(),
    gradients: z.record(z.string(), z.array(z.number())),
  }),
);
export type Answer = z.infer<typeof answerSchema>[number];

/** Writes each sample's model, with random parameters, as a checkpoint under `directory` and asks transformers. */
export function askTransformers(
  samples: readonly Sample[],
  directory: string,
): { answers: Answer[]; warnings: string } {
  const requests = samples.map(({ family, config, ids, mask, types, labels }, i) => {
    const at = join(directory, String(i));
    mkdirSync(at);
    writeModel(at, family, config);
    return { directory: at, ids, mask, types, labels };
  });
  const script = fileURLToPath(new URL("../../python/models.py", import.meta.url));
  const result = spawnSync(python, [script], {
    input: JSON.stringify(requests),
    encoding: "utf8",
    maxBuffer: 1 << 28,
    env: { ...process.env, HF_HUB_OFFLINE: "1" },
  });
  assert.equal(result.status, 0, result.stderr);
  return { answers: answerSchema.parse(JSON.parse(result.stdout)), warnings: result.stderr };
}

/** The same parameters as tensors. */
export const sampleTheta = (tf: Tf, { family, config }: Sample): Tensors =>
  Object.fromEntries(
    family.parameters(config).map((p) => [p.name, tf.tensor(sampleValues(p), [...p.shape])]),
  );

/** `predicted` is given only where not all tokens are. */
export function sampleBatch(tf: Tf, { ids, mask, types, labels }: Sample): Batch {
  const predicted = [...labels.flat().entries()].filter(([, label]) => label >= 0);
  const [sequences, length] = [ids.length, ids[0]?.length ?? 0];
  const int32 = (values: readonly number[]) => tf.tensor1d([...values], "int32");
  const all = predicted.length === sequences * length;
  return {
    tokens: {
      ids: int32(ids.flat()),
      sequences,
      length,
      ...(mask && { mask: tf.tensor2d(mask.map((row) => [...row])) }),
      ...(types && { types: int32(types.flat()) }),
    },
    targets: int32(predicted.map(([, label]) => label)),
    ...(!all && { predicted: int32(predicted.map(([place]) => place)) }),
  };
}

/** Rows of token ids that look random and are always the same. */
export function sampleRows(rows: number, columns: number, below: number, shift: number): number[][] {
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: columns }, (_, i) => (7 * row * row + 3 * i * i + 5 * i + shift) % below),
  );
}
