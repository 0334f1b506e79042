import { InvalidInput } from "../../protocol/errors.ts";
import type { JobSpec } from "../../protocol/job.ts";
import { gatherWindows, heldOutStarts, rowsOf, splitText, trainingStarts } from "../data/batches.ts";
import { examplesOf, type LinearBatch, solutionOf } from "../data/linear.ts";
import type { Dataset } from "../data/text.ts";
import { languageModelOf } from "./describe.ts";
import { linearLoss, linearLossAndGradient } from "./linear.ts";
import type { Batch, Objective } from "./model.ts";
import type { Kit } from "./ops.ts";
import { recorded } from "./recorded.ts";

/** The objective of a job: its model on its data. */
export function objectiveOf(kit: Kit, spec: JobSpec, dataset: Dataset | null): Objective {
  return spec.model.type === "linear" ? linearObjective(kit, spec) : textObjective(kit, spec, dataset);
}

function textObjective(kit: Kit, spec: JobSpec, data: Dataset | null): Objective {
  const { family, config, context, dataset } = languageModelOf(spec, data);
  const { tf } = kit;
  const heldOut = spec.data.type === "text" ? spec.data.heldOut : 0;
  const split = splitText(dataset.tokens.length, heldOut);

  /** Calls `compute` with the windows at `starts` as tensors. */
  const withWindows = <T>(starts: readonly number[], compute: (batch: Batch) => T) => {
    const { inputs, targets } = gatherWindows(dataset.tokens, starts, context);
    const ids = tf.tensor1d(inputs, "int32");
    const next = tf.tensor1d(targets, "int32");
    try {
      return compute({ tokens: { ids, sequences: starts.length, length: context }, targets: next });
    } finally {
      tf.dispose([ids, next]);
    }
  };
  const lossAndGradient = recorded(kit, (theta, batch) => family.lossAndGradient(kit, config, theta, batch));
  const evaluated = () => heldOutStarts(split.heldOut, context, spec.evaluateBatches * spec.batch);

  return {
    tokensPerBatch: spec.batch * context,
    lossAndGradient: (theta, place) =>
      withWindows(trainingStarts(spec, split.training, context, place), (batch) =>
        lossAndGradient(theta, batch),
      ),
    heldOutLoss: (theta, index) =>
      withWindows(evaluated().slice(index * spec.batch, (index + 1) * spec.batch), (batch) =>
        family.loss(kit, config, theta, batch),
      ),
  };
}

function linearObjective(kit: Kit, spec: JobSpec): Objective {
  if (spec.model.type !== "linear" || spec.data.type !== "linear") {
    throw new InvalidInput(`data.type must be "linear" for a linear model, got "${spec.data.type}"`);
  }
  const { tf } = kit;
  const { inputs, outputs } = spec.model;
  const { examples } = spec.data;
  const solution = solutionOf(spec.seed, inputs, outputs);
  const batch = (numbers: readonly number[]) => examplesOf(spec.seed, solution, inputs, numbers);
  const tensors = ({ x, y }: LinearBatch) =>
    [tf.tensor(x, [x.length / inputs, inputs]), tf.tensor(y, [y.length / outputs, outputs])] as const;
  return {
    tokensPerBatch: spec.batch,
    lossAndGradient: (theta, place) =>
      tf.tidy(() => linearLossAndGradient(kit, theta, ...tensors(batch(rowsOf(spec, examples, place))))),
    // Held out: the examples numbered from `examples` on, which training never draws.
    heldOutLoss: (theta, index) =>
      tf.tidy(() => {
        const numbers = Array.from({ length: spec.batch }, (_, i) => examples + index * spec.batch + i);
        return linearLoss(kit, theta, ...tensors(batch(numbers)));
      }),
  };
}
