import { BatchError } from "./errors.ts";

/**
 * Checks values against the schemas that the AWS SDK's client carries, so that a request which AWS Batch would not
 * understand does not get through here either. A schema is
 * - a number: 0 text, 1 number, 2 boolean; with 64 added a list of it, with 128 a map to it
 * - `[1, namespace, name, traits, element]`, a list; `[2, ..., key, value]`, a map
 * - `[3, ..., names, types, required]`, a structure whose first `required` members must be there
 * - a function that gives one of these
 */
const LIST_OF = 64;
const MAP_TO = 128;
const SCALARS = ["string", "number", "boolean"];

/** @throws BatchError naming the member that is missing, unknown or of another type */
export function check(schema: unknown, value: unknown, where: string): void {
  if (typeof schema === "function") check(schema(), value, where);
  else if (typeof schema === "number") checkSimple(schema, value, where);
  else if (Array.isArray(schema)) checkCompound(schema, value, where);
  else throw new Error(`${where}: no schema of a known kind`);
}

function checkSimple(schema: number, value: unknown, where: string): void {
  if (schema >= MAP_TO) checkMap(schema - MAP_TO, value, where);
  else if (schema >= LIST_OF) checkList(schema - LIST_OF, value, where);
  else if (typeof value !== SCALARS[schema]) throw wrong(where, `a ${SCALARS[schema]}`, value);
}

function checkCompound(schema: readonly unknown[], value: unknown, where: string): void {
  const [kind, , , , first, second, required] = schema;
  if (kind === 1) checkList(first, value, where);
  else if (kind === 2) checkMap(second, value, where);
  else if (kind === 3)
    checkStructure(first as string[], second as unknown[], Number(required ?? 0), value, where);
  else throw new Error(`${where}: a schema of kind ${kind}`);
}

function checkList(element: unknown, value: unknown, where: string): void {
  if (!Array.isArray(value)) throw wrong(where, "a list", value);
  for (const [i, item] of value.entries()) check(element, item, `${where}[${i}]`);
}

function checkMap(element: unknown, value: unknown, where: string): void {
  for (const [key, item] of Object.entries(objectOf(value, where))) check(element, item, `${where}.${key}`);
}

function checkStructure(
  names: readonly string[],
  types: readonly unknown[],
  required: number,
  value: unknown,
  where: string,
): void {
  const members = new Map(Object.entries(objectOf(value, where)));
  for (const [i, name] of names.entries()) {
    const member = members.get(name);
    members.delete(name);
    if (member !== undefined) check(types[i], member, `${where}.${name}`);
    else if (i < required) throw new BatchError(`${where}.${name} is required`);
  }
  for (const name of members.keys()) throw new BatchError(`${where} has no member ${name}`);
}

function objectOf(value: unknown, where: string): object {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw wrong(where, "an object", value);
}

const wrong = (where: string, wanted: string, value: unknown) =>
  new BatchError(`${where} must be ${wanted}, got ${JSON.stringify(value)}`);
