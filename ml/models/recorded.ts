import type { Scalar, Tensor } from "@tensorflow/tfjs";
import { LRUCache } from "lru-cache";
import { canRecord, type Program, recordProgram } from "../tensorflow/program.ts";
import type { Ops } from "./layers/ops.ts";
import { type Batch, type LossAndGradient, type Tensors, tensorOf } from "./model.ts";

/** Programs that are kept; a job has one shape of batch. */
const MAX_PROGRAMS = 2;

type Compute<Result> = (theta: Tensors, batch: Batch) => Result;
type Recorded = { readonly program: Program; readonly names: readonly string[] };

/**
 * The same computation, where the backend can as one recorded program per shape of the batch. Which of both it is
 * depends on the backend only, never on the step, as the bits of their results differ.
 *
 * @param compute a function of the tensors in its arguments: whatever else of the arguments changes, for example a
 *   number, makes another program, and what is drawn at random must come in a tensor of the batch
 */
export function recorded(ops: Ops, compute: Compute<LossAndGradient>): Compute<LossAndGradient> {
  if (!canRecord(ops.tf)) return compute;
  const run = programsOf(ops, (theta, batch) => {
    const { loss, gradient } = compute(theta, batch);
    return { loss, ...gradient };
  });
  return (theta, batch) => {
    const { loss, ...gradient } = run(theta, batch);
    return { loss: loss as Scalar, gradient };
  };
}

/** The same for a loss without its gradient. */
export function recordedLoss(ops: Ops, compute: Compute<Scalar>): Compute<Scalar> {
  if (!canRecord(ops.tf)) return compute;
  const run = programsOf(ops, (theta, batch) => ({ loss: compute(theta, batch) }));
  return (theta, batch) => tensorOf(run(theta, batch), "loss") as Scalar;
}

function programsOf(ops: Ops, compute: Compute<Tensors>): Compute<Tensors> {
  const programs = new LRUCache<string, Recorded>({
    max: MAX_PROGRAMS,
    dispose: ({ program }) => program.dispose(),
  });
  const recordNew = (signature: string, inputs: readonly Tensor[], run: () => Tensors): Recorded => {
    const made = record(ops, inputs, run);
    programs.set(signature, made);
    return made;
  };
  return (theta, batch) => {
    const inputs: Tensor[] = [];
    const signature = JSON.stringify(signatureOf(ops, [theta, batch], inputs));
    const { program, names } =
      programs.get(signature) ?? recordNew(signature, inputs, () => compute(theta, batch));
    const results = program.run(inputs);
    return Object.fromEntries(names.map((name, i) => [name, results[i]])) as Tensors;
  };
}

function record({ tf }: Ops, inputs: readonly Tensor[], compute: () => Tensors): Recorded {
  let names: string[] = [];
  const outputs = () => {
    const results = compute();
    names = Object.keys(results);
    return Object.values(results);
  };
  const program = recordProgram(tf, inputs, outputs);
  return { program, names };
}

/** All that a program depends on: the shapes and types of the tensors, which it collects, and all other values. */
function signatureOf(ops: Ops, value: unknown, tensors: Tensor[]): unknown {
  if (value instanceof ops.tf.Tensor) {
    tensors.push(value);
    return { dtype: value.dtype, shape: value.shape };
  }
  if (typeof value !== "object" || value === null) return value;
  return Object.entries(value).map(([key, item]) => [key, signatureOf(ops, item, tensors)]);
}
