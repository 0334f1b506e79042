import { type FileMetaData, parquetSchema, type SchemaTree } from "hyparquet";
import { InvalidInput } from "../../protocol/errors.ts";

/** Where the texts of a parquet file stand. */
export type TextColumn = {
  /** The column, which is read whole. */
  readonly column: string;
  /** The fields that lead from its value to the text. */
  readonly path: readonly string[];
};

/**
 * Finds a field of a parquet file: a column, or a field in one by a path such as `data.text`.
 *
 * @param name names the file in messages
 * @throws InvalidInput when there is none, or it is not one text a row
 */
export function columnOf(metadata: FileMetaData, field: string, name: string): TextColumn {
  const schema = parquetSchema(metadata);
  const nodes = nodesAt(schema, field);
  const columns = schema.children.map(({ element }) => element.name);
  if (nodes === null)
    throw new InvalidInput(`${name} has no column "${field}"${elsewhere(schema, field)}; ${choices(schema)}`);
  const list = nodes.find(isList);
  const leaf = nodes.at(-1);
  if (list) throw new InvalidInput(inList(name, field, pathOf(list)));
  if (leaf && leaf.children.length > 0) {
    const inside = leavesOf(leaf).map(pathOf).join(", ");
    throw new InvalidInput(
      `${name}: "${field}" is no text but a group of fields; data.field must be one of ${inside}`,
    );
  }
  const [first, ...rest] = nodes.map(({ element }) => element.name);
  return { column: first ?? columns[0] ?? field, path: rest };
}

/** The nodes of a path from a column on; null when there is none. Names may have dots of their own. */
function nodesAt(node: SchemaTree, field: string): SchemaTree[] | null {
  for (const child of node.children) {
    const { name } = child.element;
    if (name === field) return [child];
    if (!field.startsWith(`${name}.`)) continue;
    const rest = nodesAt(child, field.slice(name.length + 1));
    if (rest) return [child, ...rest];
  }
  return null;
}

const isList = ({ element }: SchemaTree): boolean =>
  element.repetition_type === "REPEATED" ||
  ["LIST", "MAP", "MAP_KEY_VALUE"].includes(element.converted_type ?? "") ||
  ["LIST", "MAP"].includes(element.logical_type?.type ?? "");

const pathOf = ({ path }: SchemaTree): string => path.join(".");

const leavesOf = (node: SchemaTree): SchemaTree[] =>
  node.children.length === 0 ? [node] : node.children.flatMap(leavesOf);

/** The fields that are one value a row. */
function plainLeaves(node: SchemaTree): SchemaTree[] {
  if (isList(node)) return [];
  return node.children.length === 0 ? [node] : node.children.flatMap(plainLeaves);
}

const choices = (schema: SchemaTree): string => {
  const leaves = schema.children.flatMap(plainLeaves).map(pathOf);
  return leaves.length === 0
    ? "it has no column of one text a row"
    : `data.field must be one of ${leaves.join(", ")}`;
};

/** Says where a field of this name is, below the columns. */
function elsewhere(schema: SchemaTree, field: string): string {
  const found = leavesOf(schema).find(({ element }) => element.name === field);
  if (!found) return "";
  const list = schema.children.find(({ element }) => element.name === found.path[0]);
  const isListed = list !== undefined && !plainLeaves(list).includes(found);
  return isListed
    ? `: it is in the list "${found.path[0]}", of which a row has several; join them into a column of one text a row`
    : `, but "${pathOf(found)}"`;
}

const inList = (name: string, field: string, list: string): string =>
  `${name}: "${field}" is in the list "${list}", of which a row has several; join them into a column of one text a row, ` +
  'in Python for example with: dataset.map(lambda row: {"text": ...})';
