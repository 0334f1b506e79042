import { type Command, Option } from "commander";
import { collect, decimal, examples, type Run, share, tokenBits, wholeNumber } from "../arguments.ts";
import { withFilteredStderr } from "../terminal/filtered-stderr.ts";

/** The grammar of the verbs that work with models and texts; it belongs to program.ts. */
export function defineModelVerbs(program: Command, args: readonly string[], run: Run): void {
  defineGenerate(program, run);
  defineFillMask(program, run);
  defineEvaluate(program, args, run);
  defineData(program, run);
}

const MODEL = "a job, or a directory with config.json, model.safetensors and tokenizer.json";

const versionOption = (): Option =>
  new Option("--version <n>", "use this version of the job; default: the latest").argParser(wholeNumber(0));

function defineGenerate(program: Command, run: Run): void {
  program
    .command("generate")
    .description("continue a text with a model; its job may still be running")
    .argument("<model>", MODEL)
    .requiredOption("--prompt <text>", "the text to continue; may be repeated, for several texts", collect)
    .addOption(versionOption())
    .option("--max-new-tokens <n>", "generate at most this many tokens", wholeNumber(1), 200)
    .option(
      "--temperature <t>",
      "below 1: more predictable, above 1: more varied, 0: always the likeliest token",
      decimal,
      0.8,
    )
    .option("--top-k <n>", "draw from the n likeliest tokens only", wholeNumber(1))
    .option("--top-p <p>", "draw from the fewest tokens whose probabilities add up to p", share)
    .option("--repetition-penalty <x>", "above 1: make tokens less likely that the text has already", decimal)
    .option("--stop <text>", "end before this text; may be repeated", collect)
    .option("--seed <n>", "the same seed gives the same text; default: a new one each time", wholeNumber(0))
    .option("--json", "print one JSON object per text when all are done: prompt, text, tokens, end")
    .addHelpText(
      "after",
      `
A text may grow longer than the model's context: whenever the context is full, its oldest quarter is dropped.
${examples(
  'generate shakespeare --prompt "ROMEO:"',
  'generate shakespeare --version 500 --prompt "O" --top-k 10 --seed 7',
  `generate my-model/ --prompt "To be" --prompt "Not to be" --top-p 0.9 --stop $'\\n\\n'`,
)}`,
    )
    .action((model, flags, command) =>
      run(command, async (target) =>
        (await import("../commands/generate.ts")).generate(target, model, flags),
      ),
    );
}

function defineFillMask(program: Command, run: Run): void {
  program
    .command("fill-mask")
    .description("guess the masked tokens of a text, with a model such as BERT")
    .argument("<model>", MODEL)
    .argument("<text>", "a text with [MASK] in place of each token to guess")
    .addOption(versionOption())
    .option("--top-k <n>", "guesses for each mask", wholeNumber(1), 5)
    .option("--json", "print one JSON array with the guesses for each mask")
    .addHelpText("after", examples('fill-mask my-bert/ "Paris is the [MASK] of France."'))
    .action((model, text, flags, command) =>
      run(command, async (target) =>
        (await import("../commands/fill-mask.ts")).fillMask(target, model, text, flags),
      ),
    );
}

function defineEvaluate(program: Command, args: readonly string[], run: Run): void {
  program
    .command("evaluate")
    .description("measure how well a model predicts a text: loss, perplexity, bits per byte")
    .argument("<model>", MODEL)
    .argument(
      "[file]",
      "a text or documents (.jsonl, .json, .parquet) of any size, or a folder; default: the data that the job holds out",
    )
    .option("--field <name>", "the field of a JSON object or column of a .parquet file that holds the text")
    .addOption(versionOption())
    .option("--json", "print one JSON object: loss, perplexity, bitsPerByte, tokens, predicted, bytes")
    .addHelpText(
      "after",
      `
The text is cut into windows of the model's context, end to end. Every token but the first is predicted once, from
the tokens before it in its window. A BERT predicts 15 % of the tokens of each window, the same ones every time.
A model of your own predicts whole windows only.
${examples("evaluate shakespeare", "evaluate shakespeare held-out.txt", "evaluate my-model/ held-out.txt --json | jq .perplexity")}`,
    )
    .action((model, file, flags, command) =>
      run(command, (target) =>
        withFilteredStderr(args, async () =>
          (await import("../commands/evaluate.ts")).evaluate(target, model, file, flags),
        ),
      ),
    );
}

function defineData(program: Command, run: Run): void {
  program
    .command("data")
    .description("tokenize texts as a job would, and show the result")
    .argument("<files...>", "text, .jsonl, .json, .parquet or .bin files, directories, globs")
    .option("--tokenizer <kind>", "char, byte, train, or the path of a tokenizer.json; default: char")
    .option(
      "--vocab <n>",
      "vocabulary of the tokenizer to train, or number of distinct tokens of a .bin",
      wholeNumber(1),
    )
    .option("--field <name>", "the field of a JSON object or column of a .parquet file that holds the text")
    .option(
      "--bits <n>",
      "bits of a number of a .bin, 16 or 32; default: as many as the vocabulary needs",
      tokenBits,
    )
    .option("--out <directory>", "also write tokens.bin and the tokenizer to this directory")
    .addHelpText(
      "after",
      examples(
        "data corpus.txt",
        "data corpus/ --vocab 8192 --out tokenized/",
        "data pages.jsonl --field content --tokenizer model/",
        "data train.bin --vocab 50257",
      ),
    )
    .action((files, flags, command) =>
      run(command, async (target) => (await import("../commands/data.ts")).data(target, files, flags)),
    );
}
