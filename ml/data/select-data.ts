import { basename, extname } from "node:path";
import { InvalidInput } from "../../protocol/errors.ts";
import type { FileKind } from "./file-kind.ts";
import type { FoundFile, LeftOut, SourceFile, SourceKind, Sources } from "./source-file.ts";

/** A file and what it is. */
export type Candidate = { readonly file: FoundFile; readonly is: FileKind };

type Readable = FoundFile & { readonly kind: SourceKind };

/**
 * Chooses the data among files: all that were named themselves; of a folder, no card, code or description beside its
 * data. Says what each is used for.
 *
 * @param name names all of them in messages
 * @throws InvalidInput when there is none, or tokens and texts are mixed
 */
export function selectData(candidates: readonly Candidate[], name: string): Sources {
  const leftOut: LeftOut[] = [];
  const readable: Readable[] = [];
  for (const { file, is } of candidates) {
    if (is.kind === "other") leftOut.push({ name: file.name, why: is.why });
    else readable.push({ ...file, kind: is.kind });
  }
  const data = readable.filter((file) => {
    const why = file.given ? null : whyNot(file, readable);
    if (why !== null) leftOut.push({ name: file.name, why });
    return why === null;
  });
  refuseMixed(data, name);
  const files = data.map((file) => ({ ...file, part: partOf(file, data) }));
  for (const file of files.filter(({ part }) => part === "none")) {
    leftOut.push({ name: file.name, why: "it is to test with, by its name" });
  }
  const training = files.flatMap((file) => (file.part === "training" ? [{ ...file, part: file.part }] : []));
  const heldOut = files.flatMap((file) => (file.part === "heldOut" ? [{ ...file, part: file.part }] : []));
  if (training.length > 0) return { files: [...training, ...heldOut], leftOut };
  const why = leftOut.map((each) => `${each.name}: ${each.why}`).join("; ");
  throw new InvalidInput(`${name} must hold files to train on, it has none (${why})`);
}

function refuseMixed(files: readonly Readable[], name: string): void {
  const tokens = files.find(({ kind }) => kind === "tokens");
  const other = files.find(({ kind }) => kind !== "tokens");
  if (!tokens || !other) return;
  throw new InvalidInput(
    `${name} must hold .bin files of tokens or texts, not both: ${tokens.name} has tokens, ${other.name} does not`,
  );
}

const DOCUMENTS: ReadonlySet<SourceKind> = new Set(["lines", "json", "parquet"]);
const isDocuments = ({ kind }: Readable): boolean => DOCUMENTS.has(kind);

/** Files that describe data, by the names that Hugging Face's tools and people give them. */
const DESCRIPTION = /^(readme|license|licence|copying|notice|citation|changelog|requirements)\b/i;
const INFOS = /^(dataset_infos?|dataset_dict|state|metadata)\.json$/i;

/** The reason to leave out a file of a folder; null for data. */
function whyNot(file: Readable, all: readonly Readable[]): string | null {
  const name = basename(file.relative);
  const others = all.filter((each) => each !== file);
  if (file.kind === "tokens" || others.length === 0) return null;
  if (file.kind === "text" && others.some(({ kind }) => kind === "tokens")) return "it is text beside tokens";
  const besideDocuments = others.some(isDocuments);
  if (INFOS.test(name)) return "it describes data";
  if (file.kind !== "text" || !besideDocuments) return null;
  if (DESCRIPTION.test(name)) return "it describes the data beside it";
  return [".txt", ".text"].includes(extname(name).toLowerCase())
    ? null
    : "it is text beside documents, and not named .txt";
}

/** Names of the parts of a dataset, between other letters. */
const PART = /(?<![a-z])(train|training|val|valid|validation|dev|test|eval)(?![a-z])/gi;

type Part = "train" | "validation" | "test" | null;

/** The part of a dataset that a file is, by the last word for one in its path. A text must be named so and no more. */
function namedPart({ relative, kind }: Readable): Part {
  const path = relative.slice(0, relative.length - extname(relative).length);
  const word = [...path.matchAll(PART)].at(-1)?.[0].toLowerCase();
  if (word === undefined || (kind === "text" && basename(path).toLowerCase() !== word)) return null;
  if (word.startsWith("train")) return "train";
  return word === "test" || word === "eval" ? "test" : "validation";
}

/** What a file is used for. Beside one to train on, the others are held out: those for validation, else those for tests. */
function partOf(file: Readable, all: readonly Readable[]): SourceFile["part"] | "none" {
  const parts = new Set(all.map(namedPart));
  const own = namedPart(file);
  if (!parts.has("train") || own === null || own === "train") return "training";
  return own === "validation" || !parts.has("validation") ? "heldOut" : "none";
}
