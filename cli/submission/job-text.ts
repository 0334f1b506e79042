import {
  createScanner,
  getNodeValue,
  type Node,
  type ParseError,
  type ParseErrorCode,
  parseTree,
  printParseErrorCode,
} from "jsonc-parser";
import { InvalidInput } from "../../protocol/errors.ts";
import { disguiseOf, withoutMark } from "../../protocol/file-format.ts";

/**
 * Reads the text of a job file: a JSON object, which may have comments.
 *
 * @throws InvalidInput with the line and column of the first fault
 */
export function parseJobText(bytes: Uint8Array, file: string): Record<string, unknown> {
  const text = decode(bytes, file);
  if (text.trim() === "") {
    throw new InvalidInput(`${file} is not JSON: it is empty; examples/ has job files to start from`);
  }
  requireShallow(text, file);
  const errors: ParseError[] = [];
  const root = parseTree(text, errors, { allowTrailingComma: false });
  const [first] = errors;
  if (first)
    throw new InvalidInput(`${file} is not JSON at ${placeOf(text, first.offset)}: ${faultOf(text, first)}`);
  if (root?.type !== "object") {
    throw new InvalidInput(`${file} must hold one JSON object, { "model": ..., "data": ..., ... }`);
  }
  refuseTwice(root, text, file);
  return { ...(getNodeValue(root) as object) };
}

const MAX_DEPTH = 100;

/** The parser calls itself for every bracket, and would run out of stack. */
function requireShallow(text: string, file: string): void {
  let depth = 0;
  const tokens = createScanner(text, true);
  for (tokens.scan(); tokens.getTokenOffset() < text.length; tokens.scan()) {
    // A text begins with its quote, a comment with its slash.
    const first = text.charAt(tokens.getTokenOffset());
    if (first === "{" || first === "[") depth++;
    if (first === "}" || first === "]") depth--;
    if (depth <= MAX_DEPTH) continue;
    const place = placeOf(text, tokens.getTokenOffset());
    throw new InvalidInput(`${file} must nest at most ${MAX_DEPTH} levels deep, it has more at ${place}`);
  }
}

function decode(bytes: Uint8Array, file: string): string {
  const disguise = disguiseOf(bytes, file);
  if (disguise !== null) throw new InvalidInput(disguise);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(withoutMark(bytes));
  } catch (cause) {
    throw new InvalidInput(`${file} is not UTF-8 text; save it as UTF-8`, { cause });
  }
}

/** Of several values of a field a parser keeps one and drops the others silently. */
function refuseTwice(node: Node, text: string, file: string): void {
  const names = new Set<unknown>();
  for (const child of node.children ?? []) {
    const [name, value] = child.type === "property" ? (child.children ?? []) : [undefined, child];
    if (name && names.has(name.value)) {
      throw new InvalidInput(
        `${file}: ${placeOf(text, name.offset)} has ${quoted(name.value)} a second time; keep one`,
      );
    }
    if (name) names.add(name.value);
    if (value) refuseTwice(value, text, file);
  }
}

const quoted = (value: unknown): string => JSON.stringify(value);

function placeOf(text: string, offset: number): string {
  const before = text.slice(0, offset).split("\n");
  return `line ${before.length}, column ${(before.at(-1) ?? "").length + 1}`;
}

const EXPECTED: Partial<Record<ReturnType<typeof printParseErrorCode>, string>> = {
  PropertyNameExpected: "a field's name in double quotes must stand here",
  ValueExpected: "a value must stand here",
  ColonExpected: "a colon must stand here",
  CommaExpected: "a comma must stand before this",
  CloseBraceExpected: "a } is missing",
  CloseBracketExpected: "a ] is missing",
  EndOfFileExpected: "the job ends before this",
  InvalidNumberFormat: "this is no number",
  UnexpectedEndOfString: "a text must end with a double quote on its line",
  UnexpectedEndOfComment: "a comment does not end",
  InvalidCharacter: "a text must not hold this character; write it as \\u....",
  InvalidEscapeCharacter: "a text must not hold this escape; a backslash itself is \\\\",
  InvalidUnicode: "\\u takes four hexadecimal digits",
};

function faultOf(text: string, { error, offset, length }: ParseError): string {
  const code = printParseErrorCode(error satisfies ParseErrorCode);
  const got = text.slice(offset, offset + Math.min(length, 40)).split("\n")[0] ?? "";
  if (code === "InvalidSymbol") return `${quoted(got)} is no JSON; texts and names stand in double quotes`;
  const comma = got === "}" || got === "]" ? ", or the comma before it is too many" : "";
  return `${EXPECTED[code] ?? code}${got === "" ? ", at the end" : `, got ${quoted(got)}`}${comma}`;
}
