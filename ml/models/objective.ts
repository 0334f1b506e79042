import { InvalidInput } from "../../protocol/errors.ts";
import { rowsOf } from "../data/batches.ts";
import type { Dataset } from "../data/dataset.ts";
import { examplesOf, type LinearBatch, solutionOf } from "../data/linear.ts";
import type { TrainingSpec } from "../data/training-spec.ts";
import type { Ops } from "./layers/ops.ts";
import { regressionLoss, regressionLossAndGradient } from "./linear-regression.ts";
import type { Objective } from "./model.ts";
import { textObjective } from "./text-objective.ts";
import type { UserModel } from "./user-model-types.d.ts";
import { userObjective } from "./user-objective.ts";

/** The objective of a job: its model on its data. */
export function objectiveOf(
  ops: Ops,
  spec: TrainingSpec,
  dataset: Dataset | null,
  user: UserModel | null = null,
): Objective {
  if (user !== null) return userObjective(ops, spec, dataset, user);
  return spec.model.type === "linear" ? linearObjective(ops, spec) : textObjective(ops, spec, dataset);
}

function linearObjective(ops: Ops, spec: TrainingSpec): Objective {
  if (spec.model.type !== "linear" || spec.data.type !== "linear") {
    throw new InvalidInput(`data.type must be "linear" for a linear model, got "${spec.data.type}"`);
  }
  const { tf } = ops;
  const { inputs, outputs } = spec.model;
  const { examples } = spec.data;
  const solution = solutionOf(spec.seed, inputs, outputs);
  const batch = (numbers: readonly number[]) => examplesOf(spec.seed, solution, inputs, numbers);
  const tensors = ({ x, y }: LinearBatch) =>
    [tf.tensor(x, [x.length / inputs, inputs]), tf.tensor(y, [y.length / outputs, outputs])] as const;
  return {
    tokensPerBatch: spec.batch,
    lossAndGradient: (theta, key) =>
      tf.tidy(() => regressionLossAndGradient(ops, theta, ...tensors(batch(rowsOf(spec, examples, key))))),
    // Held out: the examples numbered from `examples` on, which training never draws.
    heldOutLoss: (theta, index) =>
      tf.tidy(() => {
        const numbers = Array.from({ length: spec.batch }, (_, i) => examples + index * spec.batch + i);
        return regressionLoss(ops, theta, ...tensors(batch(numbers)));
      }),
  };
}
