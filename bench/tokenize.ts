import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import type { TokenizerChoice } from "../ml/data/prepare-options.ts";
import { prepareText } from "../ml/data/prepare-text.ts";
import { sha256 } from "../protocol/digest.ts";
import { numberVariable } from "../protocol/environment.ts";
import { Unrecoverable } from "../protocol/errors.ts";
import { at } from "../protocol/required.ts";
import { argument, report } from "./support/report.ts";

/**
 * Measures the tokenizing of a generated corpus with each tokenizer, one process each: speed and peak memory. Its floor is
 * reading the file and hashing it, on one core. `PS_CORPUS_MB=1000` for the case of a gigabyte; `PS_PYTHON` adds Hugging Face's
 * `tokenizers` on the same file and the same tokenizer.
 */
const MEGABYTES = numberVariable(process.env, "PS_CORPUS_MB", 200);
const DISTINCT = 200_000;
const script = fileURLToPath(import.meta.url);

const measuredSchema = z.object({
  seconds: z.number(),
  learning: z.number(),
  rss: z.number(),
  directory: z.string(),
});
type Measured = z.infer<typeof measuredSchema>;

if (process.argv[2] === "one")
  await tokenize(argument(1, "PATH"), argument(2, "CACHE"), argument(3, "TOKENIZER"));
else await compare();

async function compare(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "ps-bench-"));
  try {
    const corpus = join(folder, "corpus.txt");
    writeCorpus(corpus);
    const figures: Record<string, number> = { "floor: read and hash, MB/s": floor(corpus) };
    const choices: Record<string, TokenizerChoice> = {
      char: "char",
      byte: "byte",
      "train 4096": { train: { vocab: 4096 } },
    };
    let trained = "";
    for (const [name, tokenizer] of Object.entries(choices)) {
      const { seconds, learning, rss, directory } = measure(corpus, join(folder, name), tokenizer);
      figures[`${name}, MB/s`] = MEGABYTES / seconds;
      figures[`${name}, peak MB`] = rss;
      if (learning > 0) figures[`${name}, counting and learning, MB/s`] = MEGABYTES / learning;
      trained = directory;
    }
    const { seconds, rss } = measure(corpus, join(folder, "file"), { file: trained });
    figures["file (that tokenizer), MB/s"] = MEGABYTES / seconds;
    figures["file (that tokenizer), peak MB"] = rss;
    const python = process.env.PS_PYTHON;
    if (python) figures["Python tokenizers with that file, MB/s"] = inPython(python, corpus, trained);
    report(`tokenizing ${MEGABYTES} MB, ${availableParallelism()} threads`, figures);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function measure(corpus: string, folder: string, tokenizer: TokenizerChoice): Measured {
  const args = [script, "one", corpus, folder, JSON.stringify(tokenizer)];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: "utf8" });
  if (status !== 0) throw new Unrecoverable(`exit status ${status}: ${stderr}`);
  return measuredSchema.parse(JSON.parse(stdout));
}

/** Tokenizes with one tokenizer, in a process of its own. */
async function tokenize(path: string, cache: string, tokenizer: string): Promise<void> {
  const start = performance.now();
  let learned = start;
  const dataset = await prepareText({
    path,
    cache,
    tokenizer: JSON.parse(tokenizer),
    onProgress: ({ what }) => {
      if (what !== "tokenizing" && what !== "reading characters") learned = performance.now();
    },
  });
  const seconds = (performance.now() - start) / 1000;
  const measured: Measured = {
    seconds,
    learning: (learned - start) / 1000,
    rss: process.resourceUsage().maxRSS / 1024,
    directory: dataset.directory,
  };
  console.log(JSON.stringify(measured));
}

function floor(corpus: string): number {
  const start = performance.now();
  const file = openSync(corpus, "r");
  const block = new Uint8Array(1 << 20);
  while (readSync(file, block) > 0) sha256(block);
  closeSync(file);
  return (MEGABYTES * 1000) / (performance.now() - start);
}

/** Writes words of syllables by Zipf's law, in sentences and paragraphs. */
function writeCorpus(corpus: string): void {
  let state = 1;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const syllables = [
    "ka",
    "lo",
    "mi",
    "ten",
    "er",
    "ing",
    "sta",
    "u",
    "ré",
    "do",
    "the",
    "on",
    "ly",
    "世",
    "qu",
    "is",
  ];
  const words = Array.from({ length: DISTINCT }, () =>
    Array.from(
      { length: 1 + Math.floor(random() * 4) },
      () => syllables[Math.floor(random() * syllables.length)],
    ).join(""),
  );
  const file = openSync(corpus, "w");
  for (let written = 0; written < MEGABYTES * 1e6; ) {
    let text = "";
    while (text.length < 500_000) {
      const word = at(words, Math.floor(DISTINCT ** random()) - 1, "a word");
      text += random() < 0.08 ? `${word}. ` : random() < 0.01 ? `${word}\n\n` : `${word} `;
    }
    written += writeSync(file, text);
  }
  closeSync(file);
}

function inPython(python: string, corpus: string, directory: string): number {
  const script = join(directory, "time.py");
  writeFileSync(
    script,
    `import sys, time
from tokenizers import Tokenizer
tokenizer = Tokenizer.from_file(sys.argv[1] + "/tokenizer.json")
text = open(sys.argv[2], encoding="utf-8").read(60_000_000)
parts = [text[i : i + 1_000_000] for i in range(0, len(text), 1_000_000)]
start = time.time()
tokenizer.encode_batch_fast(parts)
print(len(text.encode()) / 1e6 / (time.time() - start))
`,
  );
  const { stdout, stderr, status } = spawnSync(python, [script, directory, corpus], { encoding: "utf8" });
  if (status !== 0) throw new Unrecoverable(`exit status ${status}: ${stderr}`);
  return Number(stdout);
}
