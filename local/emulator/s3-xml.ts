import { at } from "../../protocol/required.ts";

const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

/** Escapes text for an XML element. Characters that XML forbids become references, as on S3. */
function escapeXml(value: string): string {
  return value
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replace(/\p{Cc}/gu, (c) => `&#x${c.charCodeAt(0).toString(16)};`);
}

function unescapeXml(value: string): string {
  return value.replace(/&(#x[0-9a-f]+|#[0-9]+|[a-z]+);/gi, (whole, name: string) => {
    if (!name.startsWith("#")) return ENTITIES[name] ?? whole;
    const hexadecimal = name[1] === "x" || name[1] === "X";
    return String.fromCodePoint(Number.parseInt(name.slice(hexadecimal ? 2 : 1), hexadecimal ? 16 : 10));
  });
}

/** A value of an XML document: text, or an element's children; a list repeats its element. */
export type Xml = string | number | boolean | { readonly [name: string]: Xml | readonly Xml[] };

function element(name: string, value: Xml, attributes = ""): string {
  const inner = typeof value === "object" ? children(value) : escapeXml(String(value));
  return `<${name}${attributes}>${inner}</${name}>`;
}

function isList(value: Xml | readonly Xml[]): value is readonly Xml[] {
  return Array.isArray(value);
}

function children(fields: { readonly [name: string]: Xml | readonly Xml[] }): string {
  const write = ([name, value]: [string, Xml | readonly Xml[]]) =>
    isList(value) ? value.map((item) => element(name, item)).join("") : element(name, value);
  return Object.entries(fields).map(write).join("");
}

/** Writes an S3 answer as an XML document. */
export function xmlDocument(name: string, value: Xml): string {
  const namespace = name === "Error" ? "" : ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"';
  return `<?xml version="1.0" encoding="UTF-8"?>\n${element(name, value, namespace)}`;
}

/** Returns the inner text of every element of a name: enough for S3's two request documents, whose elements do not nest. */
export function elementsOf(xml: string, name: string): string[] {
  const elements = xml.matchAll(new RegExp(`<${name}(?:\\s[^>]*)?>([\\s\\S]*?)</${name}>`, "g"));
  return [...elements].map((match) => at(match, 1, `the text of ${name}`));
}

/** Returns the unescaped text of the first element of a name; undefined when there is none. */
export function textIn(xml: string, name: string): string | undefined {
  const [inner] = elementsOf(xml, name);
  return inner === undefined ? undefined : unescapeXml(inner);
}
