import type { Scalar } from "@tensorflow/tfjs";
import { InvalidInput } from "../../protocol/errors.ts";
import type { Dataset } from "../data/dataset.ts";
import type { TrainingSpec } from "../data/training-spec.ts";
import type { Ops } from "../models/layers/ops.ts";
import type { Tensors } from "../models/model.ts";
import { callUser, checkLoss, sizesOf } from "../models/user-model.ts";
import type { UserModel } from "../models/user-model-types.d.ts";
import { openTokenizer } from "../tokenizers/open-tokenizer.ts";
import type { TextPredictor } from "./text-predictor.ts";

/** A user's model that was trained on text, to evaluate on other text. */
export type TrainedUserModel = {
  readonly ops: Ops;
  readonly spec: Pick<TrainingSpec, "name" | "model">;
  /** The training data, whose tokenizer reads the text. */
  readonly dataset: Dataset | null;
  readonly user: UserModel;
  readonly theta: Tensors;
};

/**
 * Returns what `evaluateFile` needs of a user's model: its loss, on windows as in training.
 *
 * @throws InvalidInput when the job does not train on text, or on ids without a tokenizer
 */
export function userPredictor({ ops, spec, dataset, user, theta }: TrainedUserModel): TextPredictor {
  const { model } = spec;
  if (model.type !== "module") throw new InvalidInput(`model.type must be "module", got "${model.type}"`);
  const name = `model.module ${model.module}`;
  const sizes = sizesOf(model, dataset);
  const { context, vocabulary } = sizes;
  if (dataset === null || context === null || vocabulary === null) {
    throw new InvalidInput(
      `${spec.name} trains on what the batch function of ${model.module} makes, so it can't be evaluated on a text; ` +
        "leave out the text to evaluate it on the batches that the job holds out",
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
    // Only the user's code knows its layers.
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
