import type { LeftOut, SourceFile, SourceKind, Sources } from "../../ml/data/source-file.ts";
import { count } from "../terminal/format.ts";

const KINDS: Readonly<Record<Exclude<SourceKind, "tokens">, string>> = {
  text: "text",
  lines: "JSON lines",
  json: "JSON",
  parquet: "parquet",
};

/** Each kind of file, and how many there are: `2 JSON lines`. @param tokens of all files together */
export function kindsOf({ files }: Pick<Sources, "files">, tokens: number): string[] {
  const counts = new Map<SourceKind, number>();
  for (const { kind } of files) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return [...counts].map(
    ([kind, files_]) => `${count(files_)} ${kind === "tokens" ? widthOf(files, tokens) : KINDS[kind]}`,
  );
}

function widthOf(files: readonly SourceFile[], tokens: number): string {
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  return `of ${bytes / tokens < 4 ? 16 : 32}-bit tokens`;
}

/** The names of some files; those past the first few are counted. */
export function namesOf(files: readonly Pick<LeftOut, "name">[]): string {
  const names = files.slice(0, MAX_NAMES).map(({ name }) => name);
  const more = files.length - names.length;
  return names.join(", ") + (more > 0 ? ` and ${count(more)} more` : "");
}

const MAX_NAMES = 3;

/** A line for each reason to leave files out, with some of their names. */
export function leftOutLines({ leftOut }: Pick<Sources, "leftOut">): string[] {
  const byReason = Map.groupBy(leftOut, ({ why }) => why);
  return [...byReason].map(([why, files]) => `left out: ${namesOf(files)} (${why})`);
}

/** Remarks for who submits a job. */
export function notesOn(sources: Sources): string[] {
  const heldOut = sources.files.filter(({ part }) => part === "heldOut");
  const split = heldOut.length > 0 ? [`held out: ${namesOf(heldOut)}, in place of data.heldOut`] : [];
  return [...split, ...leftOutLines(sources)];
}
