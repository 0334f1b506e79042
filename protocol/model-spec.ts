import { z } from "zod";

/** The models that a job can name; their mathematics is in ml/models. */

const count = z.int().min(1);
const layers = count.describe("Number of transformer blocks.").meta({ examples: [4] });
const heads = count
  .describe("Number of attention heads in each block; must divide `width`.")
  .meta({ examples: [4] });
const width = count.describe("Size of an embedding.").meta({ examples: [128] });
const context = count.describe("Longest sequence, in tokens.").meta({ examples: [64] });

const dropout = z
  .number()
  .min(0)
  .lt(1)
  .default(0)
  .describe(
    "Probability that a value of the embeddings, the attention weights or a block's output is set to zero in " +
      "training. The draws depend on seed, step and rank only.",
  )
  .meta({ examples: [0.1] });

const recompute = z
  .boolean()
  .default(false)
  .describe(
    "Keeps only the inputs of the blocks for the backward pass and computes the rest again: less memory, more " +
      "time, the same result.",
  )
  .meta({ examples: [true] });

const gpt2 = z
  .strictObject({
    type: z.literal("gpt2"),
    layers: count.describe("Number of transformer blocks (n_layer).").meta({ examples: [12] }),
    heads: count
      .describe("Number of attention heads in each block (n_head); must divide `width`.")
      .meta({ examples: [12] }),
    width: count.describe("Size of an embedding (n_embd).").meta({ examples: [768] }),
    context: count.describe("Longest sequence, in tokens (n_positions).").meta({ examples: [1024] }),
    dropout,
    recompute,
  })
  .describe("A GPT-2 with random initial weights.");

/** LLaMA's rule for its gated layer: as many parameters as a layer of 4 times the width without a gate. */
const gatedWidth = (width: number): number => Math.ceil((8 * width) / 3 / 256) * 256;

const llama = z
  .strictObject({
    type: z.literal("llama"),
    layers,
    heads: count.describe("Number of query heads in each block.").meta({ examples: [4] }),
    keyValueHeads: count
      .optional()
      .describe("Number of key and value heads in each block; must divide `heads`. Default: `heads`.")
      .meta({ examples: [2] }),
    width: count
      .describe("Size of an embedding; must be an even multiple of `heads`.")
      .meta({ examples: [128] }),
    hidden: count
      .optional()
      .describe("Size of the gated layer. Default: 8/3 of `width`, rounded up to a multiple of 256.")
      .meta({ examples: [352] }),
    context,
    ropeTheta: z
      .number()
      .min(1)
      .default(10_000)
      .describe("Base of the wavelengths of the rotary embedding.")
      .meta({ examples: [500_000] }),
    tied: z
      .boolean()
      .default(true)
      .describe("Uses the token embedding as the output projection too.")
      .meta({ examples: [false] }),
    recompute,
  })
  .describe("A LLaMA with random initial weights.")
  .transform((model) => ({
    ...model,
    keyValueHeads: model.keyValueHeads ?? model.heads,
    hidden: model.hidden ?? gatedWidth(model.width),
  }));

const bert = z
  .strictObject({
    type: z.literal("bert"),
    layers,
    heads,
    width,
    hidden: count
      .optional()
      .describe("Size of the feed-forward layer. Default: 4 times `width`.")
      .meta({ examples: [512] }),
    context,
    dropout,
    recompute,
    maskProbability: z
      .number()
      .positive()
      .lt(1)
      .default(0.15)
      .describe(
        "Share of the tokens that the model must predict. Of these, 80 % are masked, 10 % replaced by random tokens and " +
          "10 % left unchanged.",
      )
      .meta({ examples: [0.3] }),
  })
  .describe("A BERT with random initial weights, trained to predict masked tokens.")
  .transform((model) => ({ ...model, hidden: model.hidden ?? 4 * model.width }));

const linear = z
  .strictObject({
    type: z.literal("linear"),
    inputs: count.describe("Number of rows of the weight matrix.").meta({ examples: [10] }),
    outputs: count.describe("Number of columns of the weight matrix.").meta({ examples: [10] }),
  })
  .describe("A linear regression, for tests and measurements.");

const digest = z.string().regex(/^[0-9a-f]{64}$/);

/** A user writes `{"from": DIR}`; the submission adds what it finds there. */
const pretrained = z
  .strictObject({
    type: z.literal("pretrained").describe("May be left out, since `from` implies it."),
    from: z
      .string()
      .min(1)
      .describe(
        "A Hugging Face model directory, or s3://bucket/prefix. A relative path starts at the job file's folder.",
      )
      .meta({ examples: ["models/gpt2"] }),
    context: count
      .optional()
      .describe("Length of a training sequence, in tokens. Default: the longest that the model takes.")
      .meta({ examples: [256] }),
    dropout,
    recompute,
    digest: digest
      .optional()
      .describe("Set by ps-submit: the SHA-256 of the directory's files, which are stored under it."),
    config: z
      .record(z.string(), z.unknown())
      .optional()
      .describe("Set by ps-submit: the content of the directory's config.json."),
  })
  .describe("A pretrained model of one of these families, to train further.");

/** A user writes `{"module": FILE}` and options of the model's own. */
const userModule = z
  .strictObject({
    type: z.literal("module").describe("May be left out, since `module` implies it."),
    module: z
      .string()
      .min(1)
      .describe(
        "A TypeScript file with a model of your own (docs/your-own-model.md). A relative path starts at the job file's folder.",
      )
      .meta({ examples: ["./mlp-classifier.ts"] }),
    options: z
      .record(z.string(), z.unknown())
      .default({})
      .describe("Values that the module's functions receive.")
      .meta({ examples: [{ hidden: 32 }] }),
    context: count
      .optional()
      .describe("Length of a training sequence, in tokens. Required for a model that trains on text.")
      .meta({ examples: [64] }),
    digest: digest
      .optional()
      .describe("Set by ps-submit: the SHA-256 of the file, which is stored under it."),
  })
  .describe("A model of your own.");

/** The model families; each has `layers`, `heads`, `width`, `context` and `recompute`. */
const families = [gpt2, llama, bert] as const;

export const FAMILY_NAMES: readonly string[] = families.map(
  (family) => (family instanceof z.ZodPipe ? family.in : family).shape.type.value,
);

export const modelSchema = z.discriminatedUnion("type", [...families, linear, pretrained, userModule]);

/** A job's model, with every default filled in. */
export type ModelSpec = z.infer<typeof modelSchema>;

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
