import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { isPattern } from "../../ml/data/sources.ts";
import { describe, InvalidInput } from "../../protocol/errors.ts";
import { type JobFile, jobName, parseJobFile } from "../../protocol/job.ts";
import type { TokenizerSpec } from "../../protocol/tokenizer-spec.ts";
import { parseJobText } from "./job-text.ts";
import { withAssignments } from "./overrides.ts";
import { isS3 } from "./s3-source.ts";

/** A job file, read and validated. */
export type LoadedJobFile = {
  readonly job: JobFile;
  /** The absolute path or s3:// URL of `data.path`; null for generated data. */
  readonly textPath: string | null;
  /** The folder in which the job's relative paths start. */
  readonly folder: string;
  /** The folder to which a `model.from` on S3 was downloaded. */
  readonly downloadedModel?: string | undefined;
};

/** The tokenizer that a job names, with an absolute path. */
export function tokenizerOf({ job, folder, downloadedModel }: LoadedJobFile): TokenizerSpec {
  const { tokenizer, model } = job;
  if (typeof tokenizer === "string" || !("file" in tokenizer)) return tokenizer;
  if (isS3(tokenizer.file)) {
    const beside = model.type === "pretrained" && tokenizer.file === model.from;
    if (beside && downloadedModel !== undefined) return { file: downloadedModel };
    throw new InvalidInput(
      `tokenizer.file must be on this machine, or be model.from, got "${tokenizer.file}"`,
    );
  }
  return { file: resolve(folder, tokenizer.file) };
}

/**
 * Reads a job file and applies `--set`.
 *
 * @param path `-` reads standard input; relative paths in the job then start at the current folder
 * @throws InvalidInput with every problem found
 */
export function readJobFile(path: string, assignments: readonly string[]): LoadedJobFile {
  const bytes = readBytes(path);
  const file = path === STANDARD_INPUT ? "standard input" : path;
  const written = parseJobText(bytes, file);
  const name = path === STANDARD_INPUT ? {} : { name: basename(path).replace(/\.json$/, "") };
  const job = withAssignments({ ...name, ...written }, assignments, (changed) =>
    validate(changed, path, file, written.name === undefined),
  );
  const folder = dirname(path);
  const textPath = job.data.type === "text" ? textPathOf(folder, job.data.path) : null;
  return { job, textPath, folder };
}

function validate(job: Record<string, unknown>, path: string, file: string, nameIsFiles: boolean): JobFile {
  const missing = missingData(job, path, file);
  try {
    const valid = parseJobFile(job, file);
    if (missing === null) return valid;
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    const isFileName = nameIsFiles && !jobName.safeParse(job.name).success;
    const problems = error.problems.map((problem) =>
      isFileName && problem.startsWith(`${file}: name `)
        ? `${problem}, from the file's name; set "name" in the file, or --set name=...`
        : problem,
    );
    throw new InvalidInput([...problems, ...(missing === null ? [] : [missing])], { cause: error });
  }
  throw new InvalidInput(missing);
}

const textPathOf = (folder: string, path: string): string => (isS3(path) ? path : resolve(folder, path));

/** The problem of a `data.path` that names no text; null for any other job. */
function missingData(job: Record<string, unknown>, jobPath: string, file: string): string | null {
  const { data } = job;
  const path = typeof data === "object" && data !== null && "path" in data ? data.path : data;
  if (typeof path !== "string" || path === "") return null;
  const text = textPathOf(dirname(jobPath), path);
  if (isS3(path) || existsSync(text) || isPattern(path)) return null;
  return `${file}: data.path must name a file that exists, got "${path}" (that is ${text})`;
}

/** Names a job that comes from standard input. */
export const STANDARD_INPUT = "-";

function readBytes(file: string): Uint8Array {
  if (file === STANDARD_INPUT) return readStandardInput();
  if (!existsSync(file)) {
    throw new InvalidInput(`there is no job file ${file}; give a job file or a command (ps-submit --help)`);
  }
  if (statSync(file).isDirectory()) throw new InvalidInput(`${file} is a directory; give a job file`);
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new InvalidInput(`${file} can't be read: ${describe(cause)}`, { cause });
  }
}

function readStandardInput(): Uint8Array {
  try {
    return readFileSync(0);
  } catch (cause) {
    throw new InvalidInput(`standard input can't be read: ${describe(cause)}`, { cause });
  }
}
