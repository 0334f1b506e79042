import { InvalidInput } from "../../protocol/errors.ts";
import type { Dataset } from "../data/dataset.ts";
import type { TrainingSpec } from "../data/training-spec.ts";
import type { Ops } from "../models/layers/ops.ts";
import type { Tensors } from "../models/model.ts";
import { callUser, checkLoss, sizesOf } from "../models/user-model.ts";
import type { UserModel, UserSizes } from "../models/user-model-types.d.ts";
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
export function userPredictor(trained: TrainedUserModel): TextPredictor {
  const { ops, spec, user, theta } = trained;
  const { model } = spec;
  if (model.type !== "module") throw new InvalidInput(`model.type must be "module", got "${model.type}"`);
  const name = `model.module ${model.module}`;
  const sizes = sizesOf(model, trained.dataset);
  const { context, vocabulary, tokenizerFiles } = textOf(trained, sizes, model.module);
  const loss: TextPredictor["family"]["loss"] = ({ tf }, _config, parameters, { tokens, targets }) => {
    const shape: [number, number] = [tokens.sequences, tokens.length];
    const batch = { inputs: tf.reshape(tokens.ids, shape), targets: tf.reshape(targets, shape) };
    return checkLoss(
      name,
      callUser(name, "loss", () => user.loss(tf, parameters, batch, sizes)),
    );
  };
  return {
    ops,
    theta,
    // Only the user's code knows its layers.
    config: { context, vocabulary, layers: 0 },
    tokenizer: openTokenizer(tokenizerFiles, "the job's tokenizer.json"),
    userCode: true,
    family: { masked: false, loss },
  };
}

/** The sizes and the tokenizer of a job that trains on text. */
function textOf({ spec, dataset }: TrainedUserModel, { context, vocabulary }: UserSizes, module: string) {
  if (dataset === null || context === null || vocabulary === null) {
    throw new InvalidInput(
      `${spec.name} trains on what the batch function of ${module} makes, so it can't be evaluated on a text; ` +
        "leave out the text to evaluate it on the batches that the job holds out",
    );
  }
  if (dataset.meta.tokenizer === "none") {
    throw new InvalidInput(
      `${spec.name} was trained on ids without a tokenizer, so no text can be read for it`,
    );
  }
  return { context, vocabulary, tokenizerFiles: dataset.files };
}
