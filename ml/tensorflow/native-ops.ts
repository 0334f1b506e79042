import type { DataType, Tensor } from "@tensorflow/tfjs";
import type { NodeJSKernelBackend } from "@tensorflow/tfjs-node-gpu/dist/nodejs_kernel_backend.js";
import type { TFEOpAttr, TFJSBinding } from "@tensorflow/tfjs-node-gpu/dist/tfjs_binding.js";
import { InvalidInput } from "../../protocol/errors.ts";
import type { Tf } from "./backend.ts";
import { nativeKernels } from "./tensorflow.ts";

/** The value of one attribute of a TensorFlow operation; an element type goes as `{ type: "float32" }`. */
export type OpAttribute =
  | boolean
  | string
  | { readonly type: DataType }
  | { readonly int: number }
  | { readonly float: number }
  | { readonly shape: readonly number[] };

/**
 * Any TensorFlow kernel by its name, below tfjs: no tape and no gradient, but tensors are tracked by `tf.tidy`.
 * For example SparseSoftmaxCrossEntropyWithLogits, whose two outputs are the loss and its gradient.
 */
export interface NativeOps {
  run(op: string, attributes: Readonly<Record<string, OpAttribute>>, inputs: readonly Tensor[]): Tensor;
  runMany(
    op: string,
    attributes: Readonly<Record<string, OpAttribute>>,
    inputs: readonly Tensor[],
    outputs: number,
  ): Tensor[];
}

/** TensorFlow's kernels when the native backend is selected, else undefined. */
export function nativeOps(tf: Tf): NativeOps | undefined {
  const kernels = nativeKernels(tf);
  if (kernels === undefined) return undefined;
  const encode = attributeEncoder(kernels);
  return {
    run: (op, attributes, inputs) => kernels.executeSingleOutput(op, encode(attributes), [...inputs]),
    runMany: (op, attributes, inputs, outputs) =>
      kernels.executeMultipleOutputs(op, encode(attributes), [...inputs], outputs),
  };
}

function attributeEncoder({ binding }: NodeJSKernelBackend) {
  const types = elementTypes(binding);
  const encodeOne = (name: string, value: OpAttribute): TFEOpAttr => {
    if (typeof value === "boolean") return { name, type: binding.TF_ATTR_BOOL, value };
    if (typeof value === "string") return { name, type: binding.TF_ATTR_STRING, value };
    if ("int" in value) return { name, type: binding.TF_ATTR_INT, value: value.int };
    if ("float" in value) return { name, type: binding.TF_ATTR_FLOAT, value: value.float };
    if ("shape" in value) return { name, type: binding.TF_ATTR_SHAPE, value: [...value.shape] };
    const type = types[value.type];
    if (type === undefined) throw new InvalidInput(`attribute ${name}: no TensorFlow type for ${value.type}`);
    return { name, type: binding.TF_ATTR_TYPE, value: type };
  };
  return (attributes: Readonly<Record<string, OpAttribute>>) =>
    Object.entries(attributes).map(([name, value]) => encodeOne(name, value));
}

function elementTypes(binding: TFJSBinding): Partial<Record<DataType, number>> {
  return {
    float32: binding.TF_FLOAT,
    int32: binding.TF_INT32,
    bool: binding.TF_BOOL,
    complex64: binding.TF_COMPLEX64,
    string: binding.TF_STRING,
  };
}
