import { z } from "zod";

/** The models that a job can describe by their sizes; what they are is in ml/models. */

const count = z.int().min(1);
const layers = count.describe("Transformer blocks");
const context = count.describe("Longest sequence in tokens");
export const dropout = z
  .number()
  .min(0)
  .lt(1)
  .default(0)
  .describe(
    "Share of embeddings, attention and block outputs left out in training, drawn by seed, step and rank",
  );

export const recompute = z
  .boolean()
  .default(false)
  .describe("Keep only the blocks' inputs for the backward pass: less memory, more time, the same result");

const gpt2 = z.strictObject({
  type: z.literal("gpt2"),
  layers: count.describe("Transformer blocks (n_layer)"),
  heads: count.describe("Attention heads per block (n_head); must divide width"),
  width: count.describe("Embedding width (n_embd)"),
  context: count.describe("Longest sequence in tokens (n_positions)"),
  dropout,
  recompute,
});

/** LLaMA's rule for its gated layer: as many parameters as a layer of 4 times the width without a gate. */
const gatedWidth = (width: number): number => Math.ceil((8 * width) / 3 / 256) * 256;

const llama = z
  .strictObject({
    type: z.literal("llama"),
    layers,
    heads: count.describe("Attention heads of queries per block"),
    keyValueHeads: count.optional().describe("Heads of keys and values; must divide heads; default: heads"),
    width: count.describe("Embedding width; an even multiple of heads"),
    hidden: count
      .optional()
      .describe("Width of the gated layer; default: 8/3 of width, rounded up to a multiple of 256"),
    context,
    ropeTheta: z.number().min(1).default(10_000).describe("Base of the rotary embeddings' wavelengths"),
    tied: z.boolean().default(true).describe("Use the token embedding as output projection too"),
    recompute,
  })
  .transform((model) => ({
    ...model,
    keyValueHeads: model.keyValueHeads ?? model.heads,
    hidden: model.hidden ?? gatedWidth(model.width),
  }));

const bert = z
  .strictObject({
    type: z.literal("bert"),
    layers,
    heads: count.describe("Attention heads per block"),
    width: count.describe("Embedding width; a multiple of heads"),
    hidden: count.optional().describe("Width of the feed-forward layer; default: 4 times width"),
    context,
    dropout,
    recompute,
    maskProbability: z
      .number()
      .positive()
      .lt(1)
      .default(0.15)
      .describe("Share of tokens to predict; of these 80% are masked, 10% replaced, 10% left as they are"),
  })
  .transform((model) => ({ ...model, hidden: model.hidden ?? 4 * model.width }));

const linear = z.strictObject({
  type: z.literal("linear"),
  inputs: count.describe("Rows of the weight matrix w"),
  outputs: count.describe("Columns of the weight matrix w"),
});

/** To be told apart by `type`. */
export const sizedModels = [gpt2, llama, bert, linear] as const;

export type SizedModel = z.infer<(typeof sizedModels)[number]>;

/** Problems between a model's fields. */
export function* modelContradictions(model: SizedModel): Generator<string> {
  if (model.type === "linear") return;
  if (model.width % model.heads !== 0) {
    yield `model.heads must divide model.width ${model.width}, got ${model.heads}`;
  }
  if (model.type !== "llama") return;
  if (model.heads % model.keyValueHeads !== 0) {
    yield `model.keyValueHeads must divide model.heads ${model.heads}, got ${model.keyValueHeads}`;
  }
  if (model.width % model.heads === 0 && (model.width / model.heads) % 2 !== 0) {
    yield `model.width must be an even multiple of model.heads ${model.heads}, got ${model.width}`;
  }
}
