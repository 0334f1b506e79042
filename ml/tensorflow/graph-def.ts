/**
 * TensorFlow's graphs as bytes: the few fields of tensorflow/core/framework/{graph,node_def,attr_value,tensor}.proto
 * and protobuf/{saved_model,meta_graph}.proto that a graph of plain operations needs. A message is the concatenation
 * of its fields; field numbers are those of the .proto files.
 */
export type Bytes = Uint8Array<ArrayBuffer>;

/** The name under which a saved graph is loaded. */
export const GRAPH_TAG = "serve";

/** Newest graph version of TensorFlow 2.9, the oldest release in use; later ones read it. */
const PRODUCER = 1087;

export type Node = {
  readonly name: string;
  readonly op: string;
  /** `name` or `name:output` of another node each; `^name` only waits for it. */
  readonly inputs: readonly string[];
  readonly attributes: Readonly<Record<string, Bytes>>;
};

/** A `saved_model.pb` with one graph. */
export function savedModel(nodes: readonly Node[]): Bytes {
  const graph = [...nodes.map((node) => nested(1, nodeDef(node))), nested(4, number(1, PRODUCER))];
  const metaGraph = [nested(1, text(4, GRAPH_TAG)), nested(2, join(graph))];
  return join([number(1, 1), nested(2, join(metaGraph))]);
}

function nodeDef({ name, op, inputs, attributes }: Node): Bytes {
  const entries = Object.entries(attributes).map(([key, value]) =>
    nested(5, join([text(1, key), nested(2, value)])),
  );
  return join([text(1, name), text(2, op), ...inputs.map((input) => text(3, input)), ...entries]);
}

/** The values of attributes. An element type is TensorFlow's number of it. */
export const attributeValue = {
  list: (value: Bytes): Bytes => nested(1, value),
  string: (value: string): Bytes => text(2, value),
  int: (value: number): Bytes => number(3, value),
  float: (value: number): Bytes => float(4, value),
  bool: (value: boolean): Bytes => number(5, value ? 1 : 0),
  type: (type: number): Bytes => number(6, type),
  shape: (shape: readonly number[]): Bytes => nested(7, tensorShape(shape)),
  tensor: (type: number, shape: readonly number[], content: Bytes): Bytes =>
    nested(8, join([number(1, type), nested(2, tensorShape(shape)), nested(4, content)])),
};

const tensorShape = (shape: readonly number[]): Bytes =>
  join(shape.map((size) => nested(2, number(1, size))));

const VARINT = 0;
const LENGTH_DELIMITED = 2;
const FIXED_32 = 5;

const number = (field: number, value: number): Bytes => join([tag(field, VARINT), varint(value)]);

const nested = (field: number, content: Bytes): Bytes =>
  join([tag(field, LENGTH_DELIMITED), varint(content.length), content]);

const text = (field: number, value: string): Bytes => nested(field, new TextEncoder().encode(value));

function float(field: number, value: number): Bytes {
  const content = new DataView(new ArrayBuffer(4));
  content.setFloat32(0, value, true);
  return join([tag(field, FIXED_32), new Uint8Array(content.buffer)]);
}

const tag = (field: number, wireType: number): Bytes => varint(field * 8 + wireType);

/** Seven bits a byte, lowest first; a negative number as 64 bits in two's complement. */
function varint(value: number): Bytes {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest > 127n) {
    bytes.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  return Uint8Array.of(...bytes, Number(rest));
}

/** The fields of a message, or the bytes of a list's items, one after the other. */
export function join(parts: readonly Bytes[]): Bytes {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}
