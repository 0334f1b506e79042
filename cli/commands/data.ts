import { cp, readdir, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { openBuckets } from "../../cloud/buckets.ts";
import { splitText } from "../../ml/data/batches.ts";
import { DATASET_FILES, type Dataset, META_FILE } from "../../ml/data/dataset.ts";
import type { TokenizerChoice } from "../../ml/data/prepare-options.ts";
import { prepareText } from "../../ml/data/prepare-text.ts";
import type { Sources } from "../../ml/data/source-file.ts";
import { InvalidInput } from "../../protocol/errors.ts";
import { ignoreMissing } from "../../protocol/missing.ts";
import { MIN_VOCABULARY } from "../../protocol/tokenizer-spec.ts";
import { fillDirectory } from "../models/fill-directory.ts";
import { kindsOf, leftOutLines, namesOf } from "../submission/describe-sources.ts";
import { s3Source } from "../submission/s3-source.ts";
import { withTokenizingProgress } from "../submission/tokenizing-progress.ts";
import type { Target } from "../targets/target.ts";
import { codeOfSignal, exitCodes } from "../terminal/exit.ts";
import { count } from "../terminal/format.ts";
import { print } from "../terminal/print.ts";

export type DataOptions = {
  readonly tokenizer?: string | undefined;
  readonly vocab?: number | undefined;
  readonly field?: string | undefined;
  readonly bits?: 16 | 32 | undefined;
  readonly out?: string | undefined;
};

/** The share that a job holds out by default. */
const HELD_OUT = 0.1;
const VOCABULARY = 4096;

/** `ps-submit data FILE...`: tokenizes as a job would, and prints the result. */
export async function data(
  { address }: Target,
  files: readonly string[],
  options: DataOptions,
): Promise<number> {
  const { field, out, vocab, bits } = options;
  if (out !== undefined) await requireEmpty(out);
  const tokenizer = chosen(options);
  let sources: Sources = { files: [], leftOut: [] };
  const prepared = await withTokenizingProgress((watching) =>
    prepareText({
      ...watching,
      stores: [s3Source(() => openBuckets(address.environment))],
      path: files,
      name: files.join(", "),
      tokenizer,
      cache: address.cache,
      ...(field === undefined ? {} : { field }),
      vocabulary: vocab,
      bits,
      onSources: (found) => {
        sources = found;
        if (found.files[0]?.kind !== "tokens") checkVocabulary(tokenizer);
      },
    }),
  );
  if ("signal" in prepared) return codeOfSignal(prepared.signal);
  const dataset = prepared.done;
  if (out !== undefined) await copyTo(out, dataset);
  print(report(dataset, sources, out));
  return exitCodes.succeeded;
}

/** `--vocab` without a tokenizer asks for one to be trained. */
function chosen({ tokenizer, vocab }: DataOptions): TokenizerChoice {
  if (tokenizer === "char" || tokenizer === "byte") return tokenizer;
  if (tokenizer === "train" || (tokenizer === undefined && vocab !== undefined)) {
    return { train: { vocab: vocab ?? VOCABULARY } };
  }
  return tokenizer === undefined ? "char" : { file: resolve(tokenizer) };
}

/** Of tokens, `--vocab` is what they were made with, and as small as it may be. */
function checkVocabulary(tokenizer: TokenizerChoice): void {
  if (typeof tokenizer !== "object" || !("train" in tokenizer)) return;
  const { vocab } = tokenizer.train;
  if (vocab >= MIN_VOCABULARY) return;
  throw new InvalidInput(`--vocab must be at least ${MIN_VOCABULARY} to train a tokenizer, got ${vocab}`);
}

type Row = readonly [string, string];

function report(
  { digest, meta, tokens: { length: tokens } }: Dataset,
  sources: Sources,
  out?: string,
): string[] {
  const { bytes, documents = 1, vocabulary, tokenizer } = meta;
  const { training, heldOut } = splitText(meta, HELD_OUT);
  const rows: Row[] = [
    ["files", kindsOf(sources, tokens).join(", ")],
    ["tokenizer", tokenizer],
    ["vocabulary", count(vocabulary)],
    ["tokens", count(tokens)],
  ];
  if (bytes !== undefined) {
    rows.push(["documents", count(documents)], ["bytes", count(bytes)]);
    rows.push(["bytes per token", (bytes / tokens).toFixed(2)]);
  }
  rows.push(["for training", `${count(training.end)} tokens`]);
  const own = namesOf(sources.files.filter(({ part }) => part === "heldOut"));
  const from = meta.heldOut === undefined ? `with data.heldOut ${HELD_OUT}` : `those of ${own}`;
  rows.push(["held out", `${count(heldOut.end - heldOut.start)} tokens, ${from}`]);
  rows.push(["dataset", digest]);
  if (out !== undefined) rows.push(["written to", out]);
  return [...rows.map(([name, value]) => `${name.padEnd(16)} ${value}`), ...leftOutLines(sources)];
}

async function requireEmpty(directory: string): Promise<void> {
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw new InvalidInput(`--out must name a directory, got ${directory}`, { cause: error });
  });
  if (names.length > 0) {
    throw new InvalidInput(`--out must be empty or not there, ${directory} has ${names.length} files`);
  }
}

async function copyTo(out: string, { directory }: Dataset): Promise<void> {
  await fillDirectory(out, META_FILE, async (draft) => {
    for (const name of DATASET_FILES) {
      const path = join(directory, name);
      if (await stat(path).catch(ignoreMissing)) await cp(path, join(draft, name));
    }
  });
}
