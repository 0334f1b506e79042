import type { Scalar } from "@tensorflow/tfjs";
import { InvalidInput } from "../../protocol/errors.ts";
import type { Dataset } from "../data/dataset.ts";
import type { TrainingSpec } from "../data/training-spec.ts";
import type { Tensors } from "../models/model.ts";
import type { Ops } from "../models/ops.ts";
import { callUser, checkLoss, sizesOf } from "../models/user-model.ts";
import type { UserModel } from "../models/user-model-types.d.ts";
import { openTokenizer } from "../tokenizers/open-tokenizer.ts";
import type { TextPredictor } from "./evaluate-file.ts";

/** A user's model that trains on text, for use on other text. */
export type UserText = {
  readonly ops: Ops;
  readonly spec: TrainingSpec;
  /** What it was trained on: its tokenizer reads the text. */
  readonly dataset: Dataset | null;
  readonly user: UserModel;
  readonly theta: Tensors;
};

/**
 * What `evaluateFile` needs of a user's model: its loss, on windows as in training.
 *
 * @throws InvalidInput when the job does not train on text, or on tokens whose text is not known
 */
export function userPredictor({ ops, spec, dataset, user, theta }: UserText): TextPredictor {
  const { model } = spec;
  if (model.type !== "module") throw new InvalidInput(`model.type must be "module", got "${model.type}"`);
  const name = `model.module ${model.module}`;
  const sizes = sizesOf(model, dataset);
  const { context, vocabulary } = sizes;
  if (dataset === null || context === null || vocabulary === null) {
    throw new InvalidInput(
      `${spec.name} trains on what the batch function of ${model.module} makes, so it can't be given a text; ` +
        "without one, evaluate takes the batches that the job holds out",
    );
  }
  if (dataset.meta.tokenizer === "none") {
    throw new InvalidInput(
      `${spec.name} was trained on ids without a tokenizer, so no text can be read for it`,
    );
  }
  return {
    ops,
    theta,
    // How many layers it has is its own affair.
    config: { context, vocabulary, layers: 0 },
    tokenizer: openTokenizer(dataset.files, "the job's tokenizer.json"),
    userCode: true,
    family: {
      masked: false,
      loss: ({ tf }, _config, parameters, { tokens, targets }): Scalar => {
        const shape: [number, number] = [tokens.sequences, tokens.length];
        const batch = { inputs: tf.reshape(tokens.ids, shape), targets: tf.reshape(targets, shape) };
        return checkLoss(
          name,
          callUser(name, "loss", () => user.loss(tf, parameters, batch, sizes)),
        );
      },
    },
  };
}
