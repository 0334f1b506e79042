import { PbfWriter } from "pbf";

/**
 * TensorFlow's graphs as bytes: the few fields of tensorflow/core/framework/{graph,node_def,attr_value,tensor}.proto
 * and protobuf/{saved_model,meta_graph}.proto that a graph of plain operations needs. Field numbers are those of the
 * .proto files.
 */
export type Node = {
  readonly name: string;
  readonly op: string;
  /** `name` or `name:output` of another node each; `^name` only waits for it. */
  readonly inputs: readonly string[];
  readonly attributes: Readonly<Record<string, AttributeValue>>;
};

/** The value of an attribute. An element type is TensorFlow's number of it. */
export type AttributeValue =
  | { readonly string: string }
  | { readonly int: number }
  | { readonly ints: readonly number[] }
  | { readonly float: number }
  | { readonly bool: boolean }
  | { readonly type: number }
  | { readonly shape: readonly number[] }
  | { readonly tensor: ConstantTensor };

export type ConstantTensor = {
  readonly type: number;
  readonly shape: readonly number[];
  readonly content: Uint8Array;
};

/** The name under which a saved graph is loaded. */
export const GRAPH_TAG = "serve";

/** Newest graph version of TensorFlow 2.9, the oldest release in use; later ones read it. */
const PRODUCER = 1087;

/** A `saved_model.pb` with one graph. */
export function savedModel(nodes: readonly Node[]): Uint8Array {
  const writer = new PbfWriter();
  writer.writeVarintField(1, 1); // schema version
  writer.writeMessage(2, writeMetaGraph, nodes);
  return writer.finish();
}

function writeMetaGraph(nodes: readonly Node[], writer: PbfWriter): void {
  writer.writeMessage(1, (tag, info) => info.writeStringField(4, tag), GRAPH_TAG);
  writer.writeMessage(2, writeGraph, nodes);
}

function writeGraph(nodes: readonly Node[], writer: PbfWriter): void {
  for (const node of nodes) writer.writeMessage(1, writeNode, node);
  writer.writeMessage(4, (producer, versions) => versions.writeVarintField(1, producer), PRODUCER);
}

function writeNode({ name, op, inputs, attributes }: Node, writer: PbfWriter): void {
  writer.writeStringField(1, name);
  writer.writeStringField(2, op);
  for (const input of inputs) writer.writeStringField(3, input);
  for (const entry of Object.entries(attributes)) writer.writeMessage(5, writeAttribute, entry);
}

function writeAttribute([name, value]: readonly [string, AttributeValue], writer: PbfWriter): void {
  writer.writeStringField(1, name);
  writer.writeMessage(2, writeValue, value);
}

function writeValue(value: AttributeValue, writer: PbfWriter): void {
  if ("string" in value) writer.writeStringField(2, value.string);
  else if ("int" in value) writer.writeVarintField(3, value.int);
  else if ("ints" in value) writer.writeMessage(1, writeInts, value.ints);
  else if ("float" in value) writer.writeFloatField(4, value.float);
  else if ("bool" in value) writer.writeBooleanField(5, value.bool);
  else if ("type" in value) writer.writeVarintField(6, value.type);
  else if ("shape" in value) writer.writeMessage(7, writeShape, value.shape);
  else writer.writeMessage(8, writeTensor, value.tensor);
}

const writeInts = (ints: readonly number[], writer: PbfWriter): void =>
  ints.forEach((int) => {
    writer.writeVarintField(3, int);
  });

const writeShape = (shape: readonly number[], writer: PbfWriter): void =>
  shape.forEach((size) => {
    writer.writeMessage(2, (length, dimension) => dimension.writeVarintField(1, length), size);
  });

function writeTensor({ type, shape, content }: ConstantTensor, writer: PbfWriter): void {
  writer.writeVarintField(1, type);
  writer.writeMessage(2, writeShape, shape);
  writer.writeBytesField(4, content);
}
