/** Texts, which are left as they are, and the numbers that Python writes and JSON does not have. */
const TEXT_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g;

/** Parses JSON as Python writes it, with NaN and Infinity, which become null; undefined for anything else. */
export function parseJson(json: string): unknown {
  return tryParse(json) ?? tryParse(withoutNaN(json));
}

const withoutNaN = (json: string): string =>
  json.replace(TEXT_OR_NUMBER, (match) => (match.startsWith('"') ? match : "null"));

function tryParse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

/** The value of a field; of a field in an object by a path such as `data.text`. */
export function valueAt(value: unknown, field: string): unknown {
  if (!isObject(value)) return undefined;
  if (Object.hasOwn(value, field)) return value[field];
  for (let dot = field.indexOf("."); dot !== -1; dot = field.indexOf(".", dot + 1)) {
    const name = field.slice(0, dot);
    if (Object.hasOwn(value, name)) return valueAt(value[name], field.slice(dot + 1));
  }
  return undefined;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null;
