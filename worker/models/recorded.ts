import type { Scalar, Tensor } from "@tensorflow/tfjs";
import { canRecord, type Program, recordProgram } from "../backend/program.ts";
import type { Batch, LossAndGradient, Tensors } from "./model.ts";
import type { Kit } from "./ops.ts";

/** Programs kept; a job has one shape of batch. */
const KEPT = 2;

type Compute = (theta: Tensors, batch: Batch) => LossAndGradient;
type Recorded = { readonly program: Program; readonly parameters: readonly string[] };

/**
 * The same computation, where the backend can as one recorded program per shape of the batch. Which of both it is
 * depends on the backend only, never on the step, as the bits of their results differ.
 *
 * @param compute a function of the tensors in its arguments: whatever else of the arguments changes, for example a
 *   number, makes another program, and what is drawn at random must come in a tensor of the batch
 */
export function recorded(kit: Kit, compute: Compute): Compute {
  if (!canRecord(kit.tf)) return compute;
  const programs = new Map<string, Recorded>();
  return (theta, batch) => {
    const inputs: Tensor[] = [];
    const signature = JSON.stringify(signatureOf(kit, [theta, batch], inputs));
    const found = programs.get(signature) ?? record(kit, inputs, () => compute(theta, batch));
    programs.set(signature, found);
    dropOldest(programs);
    const [loss, ...gradients] = found.program.run(inputs);
    const named = found.parameters.map((name, i) => [name, gradients[i]] as const);
    return { loss: loss as Scalar, gradient: Object.fromEntries(named) as Tensors };
  };
}

function record({ tf }: Kit, inputs: readonly Tensor[], compute: () => LossAndGradient): Recorded {
  let parameters: string[] = [];
  const outputs = () => {
    const { loss, gradient } = compute();
    parameters = Object.keys(gradient);
    return [loss, ...Object.values(gradient)];
  };
  const program = recordProgram(tf, inputs, outputs);
  return { program, parameters };
}

/** All that a program depends on: the shapes and types of the tensors, which it collects, and all other values. */
function signatureOf(kit: Kit, value: unknown, tensors: Tensor[]): unknown {
  if (value instanceof kit.tf.Tensor) {
    tensors.push(value);
    return { dtype: value.dtype, shape: value.shape };
  }
  if (typeof value !== "object" || value === null) return value;
  return Object.entries(value).map(([key, item]) => [key, signatureOf(kit, item, tensors)]);
}

function dropOldest(programs: Map<string, Recorded>): void {
  const [oldest] = programs;
  if (programs.size <= KEPT || !oldest) return;
  programs.delete(oldest[0]);
  oldest[1].program.dispose();
}
