import type { Scalar, Tensor } from "@tensorflow/tfjs";
import { InvalidInput, Unrecoverable } from "../../protocol/errors.ts";
import { divide } from "../../protocol/freeze.ts";
import {
  type BatchKey,
  checkText,
  gatherWindows,
  heldOutStarts,
  splitText,
  trainingStarts,
} from "../data/batches.ts";
import type { Dataset } from "../data/dataset.ts";
import type { TrainingSpec } from "../data/training-spec.ts";
import { fillNormal, fillUniform, indicesOfName } from "../random/streams.ts";
import type { Ops } from "./layers/ops.ts";
import { type Objective, type Tensors, tensorOf } from "./model.ts";
import { callUser, checkBatch, checkLoss, describeUserModel, sizesOf } from "./user-model.ts";
import type { BatchRequest, UserArray, UserModel, UserSizes } from "./user-model-types.d.ts";

type Arrays = Readonly<Record<string, UserArray>>;

/** Makes the arrays of a job's batches. */
type Source = {
  training(key: BatchKey): Arrays;
  heldOut(index: number): Arrays;
  readonly tokensPerBatch: number;
};

/** A user's model on its data. The gradient is that of tfjs's tape; only of parameters that train. */
export function userObjective(
  ops: Ops,
  spec: TrainingSpec,
  dataset: Dataset | null,
  user: UserModel,
): Objective {
  const { model } = spec;
  if (model.type !== "module") throw new InvalidInput(`model.type must be "module", got "${model.type}"`);
  const { tf } = ops;
  const name = `model.module ${model.module}`;
  const sizes = sizesOf(model, dataset);
  const { trained } = divide(describeUserModel(name, user, sizes).parameters, spec.freeze);
  const source = dataset ? textSource(spec, dataset, sizes) : ownSource(spec, name, user, sizes);

  const lossOf = (theta: Tensors, arrays: Arrays): Scalar =>
    checkLoss(
      name,
      callUser(name, "loss", () => user.loss(tf, theta, tensorsOf(ops, arrays), sizes)),
    );

  return {
    tokensPerBatch: source.tokensPerBatch,
    heldOutLoss: (theta, index) => tf.tidy(() => lossOf(theta, source.heldOut(index))),
    lossAndGradient: (theta, key) =>
      tf.tidy(() => {
        const arrays = source.training(key);
        const at = trained.map((parameter) => tensorOf(theta, parameter.name));
        const { value: loss, grads } = callUser(name, "the gradient of loss", () =>
          tf.engine().gradients(() => lossOf(theta, arrays), at, undefined, true),
        );
        const gradient = Object.fromEntries(trained.map((parameter, i) => [parameter.name, grads[i]]));
        checkDependence(name, gradient);
        return { loss, gradient: gradient as Tensors };
      }),
  };
}

/** Names the parameters; the error of tfjs does not. */
function checkDependence(name: string, gradient: Readonly<Record<string, Tensor | undefined>>): void {
  const apart = Object.keys(gradient).filter((parameter) => !gradient[parameter]);
  if (apart.length === 0) return;
  throw new Unrecoverable(
    `${name}: loss must depend on every parameter, it does not on ${apart.join(", ")}; leave out or freeze what it does not use`,
  );
}

const tensorsOf = ({ tf }: Ops, arrays: Arrays): Tensors =>
  Object.fromEntries(
    Object.entries(arrays).map(([key, { shape, values }]) => [
      key,
      tf.tensor(values, [...shape], values instanceof Int32Array ? "int32" : "float32"),
    ]),
  );

/** Windows of a text: `inputs` and the tokens that follow them, `targets`, both [rows, context]. */
function textSource(spec: TrainingSpec, { meta, tokens }: Dataset, { context }: UserSizes): Source {
  if (context === null) throw new InvalidInput("model.context must be set for a module that trains on text");
  checkText(spec, meta, context);
  const split = splitText(meta, spec.data.type === "text" ? spec.data.heldOut : 0);
  const windows = (starts: readonly number[]): Arrays => {
    const { inputs, targets } = gatherWindows(tokens, starts, context);
    const shape = [starts.length, context];
    return { inputs: { shape, values: inputs }, targets: { shape, values: targets } };
  };
  const evaluated = () => heldOutStarts(split.heldOut, context, spec.evaluateBatches * spec.batch);
  return {
    training: (key) => windows(trainingStarts(spec, split.training, context, key)),
    heldOut: (index) => windows(evaluated().slice(index * spec.batch, (index + 1) * spec.batch)),
    tokensPerBatch: spec.batch * context,
  };
}

function ownSource(
  { seed, batch: rows }: TrainingSpec,
  name: string,
  user: UserModel,
  sizes: UserSizes,
): Source {
  const make = (key: Pick<BatchRequest, "part" | "step" | "rank" | "micro">): Arrays => {
    const arrays = callUser(name, "batch", () => user.batch?.({ ...sizes, ...key, ...draws(seed), rows }));
    return checkBatch(name, arrays);
  };
  return {
    training: (key) => make({ part: "training", ...key }),
    heldOut: (index) => make({ part: "heldOut", step: index, rank: 0, micro: 0 }),
    tokensPerBatch: rows,
  };
}

function draws(seed: number): Pick<BatchRequest, "normal" | "uniform"> {
  const stream = (name: string) => ({ seed, purpose: "module" as const, indices: indicesOfName(name) });
  return {
    normal(name, length) {
      const values = new Float32Array(length);
      fillNormal(values, 1, stream(name));
      return values;
    },
    uniform(name, length) {
      const values = new Float32Array(length);
      fillUniform(values, stream(name));
      return values;
    },
  };
}
