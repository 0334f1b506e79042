import type { Tensor } from "@tensorflow/tfjs";
import type { NodeJSKernelBackend } from "@tensorflow/tfjs-node-gpu/dist/nodejs_kernel_backend.js";
import type { TensorMetadata, TFEOpAttr, TFJSBinding } from "@tensorflow/tfjs-node-gpu/dist/tfjs_binding.js";
import { Unrecoverable } from "../../protocol/errors.ts";
import type { AttributeValue, ConstantTensor, Node } from "./graph-def.ts";

/** A computation as a graph. Inputs and outputs are ports, `node:output`. */
export type Recording = {
  readonly nodes: readonly Node[];
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
};

/**
 * Calls `compute`, writes down each TensorFlow kernel that it runs, and disposes what it returns. Tensors that it
 * makes of JavaScript's values become constants of the graph, so its results may depend on nothing but `inputs`.
 * Only shapes matter here: to save memory, all results of one shape share one tensor, whose numbers mean nothing.
 *
 * @throws Unrecoverable when `compute` reads the values of a tensor of floats, or uses tensors made before that are not inputs
 */
export function recordGraph(
  kernels: NodeJSKernelBackend,
  inputs: readonly Tensor[],
  compute: () => readonly Tensor[],
): Recording {
  const { binding } = kernels;
  const recorder = new Recorder(binding);
  kernels.binding = recorder.spy();
  try {
    const ports = inputs.map((tensor, i) => {
      const type = kernels.getDTypeInteger(tensor.dtype);
      return recorder.placeholder(`input${i}`, type, tensor.shape, recorder.idOf(kernels, tensor));
    });
    const results = compute();
    const outputs = results.map((tensor) => recorder.portOf(recorder.idOf(kernels, tensor)));
    for (const tensor of results) tensor.dispose();
    return { nodes: recorder.nodes, inputs: ports, outputs };
  } finally {
    kernels.binding = binding;
    recorder.dispose();
  }
}

class Recorder {
  readonly nodes: Node[] = [];
  readonly #binding: TFJSBinding;
  /** The port of the graph that each tensor comes from, by the number that the binding gave it. */
  readonly #ports = new Map<number, string>();
  /** Tensors made of JavaScript's values that no operation has used yet. */
  readonly #made = new Map<number, () => ConstantTensor>();
  readonly #constants = new Map<string, string>();
  /** By shape, the one tensor that stands for all results of that shape, and those results' own numbers. */
  readonly #standIns = new Map<string, number>();
  readonly #results = new Map<number, number>();
  /** Set while a kernel is only run to learn the number of its input. */
  #probe: ((id: number) => void) | undefined;

  constructor(binding: TFJSBinding) {
    this.#binding = binding;
  }

  /** A binding that does its work and also lets this recorder write it down. */
  spy(): TFJSBinding {
    const value = {
      createTensor: { value: this.#createTensor.bind(this) },
      executeOp: { value: this.#executeOp.bind(this) },
      tensorDataSync: { value: this.#tensorDataSync.bind(this) },
    };
    return Object.create(this.#binding, value);
  }

  /** The number by which the binding knows a tensor: what a kernel gets that is run on it. */
  idOf(kernels: NodeJSKernelBackend, tensor: Tensor): number {
    let number = -1;
    this.#probe = (id) => {
      number = id;
    };
    const type = {
      name: "T",
      type: this.#binding.TF_ATTR_TYPE,
      value: kernels.getDTypeInteger(tensor.dtype),
    };
    kernels.executeSingleOutput("Identity", [type], [tensor]).dispose();
    this.#probe = undefined;
    return number;
  }

  placeholder(name: string, type: number, shape: readonly number[], id: number): string {
    const attributes = { dtype: { type }, shape: { shape } };
    this.nodes.push({ name, op: "Placeholder", inputs: [], attributes });
    this.#ports.set(id, `${name}:0`);
    return `${name}:0`;
  }

  portOf(id: number): string {
    const port = this.#ports.get(id) ?? this.#constant(id);
    this.#ports.set(id, port);
    return port;
  }

  #createTensor(...[shape, type, values]: Parameters<TFJSBinding["createTensor"]>): number {
    const id = this.#binding.createTensor(shape, type, values);
    this.#made.set(id, () => ({ type, shape: [...shape], content: contentOf(values) }));
    return id;
  }

  /** Whole numbers may be read: tfjs checks that indices are in range, which the graph's kernels do too. */
  #tensorDataSync(id: number): Float32Array | Int32Array | Uint8Array {
    const values = this.#results.has(id) ? undefined : this.#binding.tensorDataSync(id);
    if (values instanceof Int32Array) return values;
    throw new Unrecoverable("a recorded computation must not read the values of a tensor");
  }

  #executeOp(op: string, attributes: TFEOpAttr[], inputs: number[], outputs: number): TensorMetadata[] {
    const real = inputs.map((id) => this.#results.get(id) ?? id);
    const results = this.#binding.executeOp(op, attributes, real, outputs);
    if (this.#probe) {
      for (const id of inputs) this.#probe(id);
      return results;
    }
    const ports = inputs.map((id) => this.portOf(id));
    const name = this.#add(op, ports, this.#encode(attributes));
    return results.map((result, output) => {
      const shown = this.#replace(result);
      this.#ports.set(shown.id, `${name}:${output}`);
      return shown;
    });
  }

  /** A result of floats under a number of its own; whole numbers may be shapes or indices and stay as they are. */
  #replace(result: TensorMetadata): TensorMetadata {
    const { id, shape, dtype } = result;
    if (dtype !== this.#binding.TF_FLOAT) return result;
    const key = String(shape);
    const standIn = this.#standIns.get(key) ?? id;
    if (standIn !== id) this.#binding.deleteTensor(id);
    this.#standIns.set(key, standIn);
    // tfjs never deletes a tensor with a negative number; -1 is taken.
    const own = -2 - this.#results.size;
    this.#results.set(own, standIn);
    return { id: own, shape, dtype };
  }

  dispose(): void {
    for (const id of this.#standIns.values()) this.#binding.deleteTensor(id);
  }

  #add(op: string, inputs: readonly string[], attributes: Node["attributes"]): string {
    const name = `${op}_${this.nodes.length}`;
    this.nodes.push({ name, op, inputs, attributes });
    return name;
  }

  /** Equal constants share a node. */
  #constant(id: number): string {
    const made = this.#made.get(id);
    if (!made) throw new Unrecoverable("a recorded computation uses a tensor that is not among its inputs");
    const tensor = made();
    this.#made.delete(id);
    const { type, shape, content } = tensor;
    const key = `${type} ${shape} ${Buffer.from(content).toString("base64")}`;
    const name = this.#constants.get(key) ?? this.#add("Const", [], { dtype: { type }, value: { tensor } });
    this.#constants.set(key, name);
    return `${name}:0`;
  }

  #encode(attributes: readonly TFEOpAttr[]): Record<string, AttributeValue> {
    return Object.fromEntries(
      attributes.map(({ name, type, value }) => [name, this.#encodeValue(name, type, value)]),
    );
  }

  #encodeValue(name: string, type: number, value: TFEOpAttr["value"]): AttributeValue {
    const binding = this.#binding;
    if (type === binding.TF_ATTR_BOOL && typeof value === "boolean") return { bool: value };
    if (type === binding.TF_ATTR_STRING && typeof value === "string") return { string: value };
    if (type === binding.TF_ATTR_TYPE && typeof value === "number") return { type: value };
    if (type === binding.TF_ATTR_FLOAT && typeof value === "number") return { float: value };
    if (type === binding.TF_ATTR_INT && typeof value === "number") return { int: value };
    if (Array.isArray(value) && type === binding.TF_ATTR_SHAPE) return { shape: value };
    if (Array.isArray(value) && type === binding.TF_ATTR_INT) return { ints: value };
    throw new Unrecoverable(`a recorded computation has an attribute ${name} that a graph can't take`);
  }
}

function contentOf(values: unknown): Uint8Array {
  if (!ArrayBuffer.isView(values))
    throw new Unrecoverable("a recorded computation must not make tensors of strings");
  return Uint8Array.from(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
}
