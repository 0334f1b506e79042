import { z } from "zod";

/** The models that a job can name; what they are is in ml/models. */

const count = z.int().min(1);
const layers = count.describe("Transformer blocks");
const context = count.describe("Longest sequence in tokens");
const dropout = z
  .number()
  .min(0)
  .lt(1)
  .default(0)
  .describe(
    "Share of embeddings, attention and block outputs left out in training, drawn by seed, step and rank",
  );

const recompute = z
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

/** A user writes `{"from": DIR}`; the rest is what the submitter finds there. */
const pretrained = z.strictObject({
  type: z.literal("pretrained").describe("May be left out beside `from`"),
  from: z
    .string()
    .min(1)
    .describe(
      "A Hugging Face model directory to start from, or s3://bucket/prefix; a relative path starts at the job file's folder",
    ),
  context: count
    .optional()
    .describe("Tokens of a training sequence; default: the longest that the model takes"),
  dropout,
  recompute,
  digest: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional()
    .describe("Set by ps-submit: SHA-256 over the directory's files, under which they are stored"),
  config: z
    .record(z.string(), z.unknown())
    .optional()
    .describe("Set by ps-submit: the directory's config.json"),
});

/** A user writes `{"module": FILE}` and options of the model's own. */
const userModule = z.strictObject({
  type: z.literal("module").describe("May be left out beside `module`"),
  module: z
    .string()
    .min(1)
    .describe(
      "A TypeScript file with a model of your own (docs/your-own-model.md); relative to the job file",
    ),
  options: z.record(z.string(), z.unknown()).default({}).describe("What the model is told, as it likes"),
  context: count.optional().describe("Tokens of a training sequence, for a model that trains on text"),
  digest: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional()
    .describe("Set by ps-submit: SHA-256 of the file, under which it is stored"),
});

export const modelSchema = z.discriminatedUnion("type", [gpt2, llama, bert, linear, pretrained, userModule]);

/** A job's model, with every default filled in. */
export type ModelSpec = z.infer<typeof modelSchema>;

/** Adds the type of a model that leaves it out: `from` and `module` say it. */
export function withModelType(model: unknown): unknown {
  if (!isObject(model) || model.type !== undefined) return model;
  if (model.from !== undefined) return { type: "pretrained", ...model };
  return model.module === undefined ? model : { type: "module", ...model };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;

/** Problems between a model's fields. */
export function* modelContradictions(model: ModelSpec): Generator<string> {
  if (!("width" in model)) return;
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
