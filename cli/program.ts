import { existsSync } from "node:fs";
import { Command, Option } from "commander";
import { InvalidInput } from "../protocol/errors.ts";
import { collect, decimal, examples, jobArgument, share, wholeNumber, workersOption } from "./arguments.ts";
import { choosePlace, type PlaceOptions } from "./targets/address.ts";
import { hasFilteredStderr, withFilteredStderr } from "./terminal/filtered-stderr.ts";
import { closest } from "./terminal/suggestion.ts";

/** The grammar of the command line. What a verb does is in commands/, loaded when it is called. */

type Result = (code: number) => void;

const EXIT_CODES = `
Exit codes: 0 succeeded, 1 the job failed, 2 wrong input or usage, 3 the job was stopped,
4 trouble with the machine (disk, endpoint, backend), 130 interrupted (Ctrl-C).
Data is kept in ./.ps; PS_DATA_DIR names another folder.
Without --stack and --endpoint-url (PS_STACK, AWS_ENDPOINT_URL) all of a job runs on this machine, and other AWS
settings are ignored.`;

/**
 * @param args the arguments after the program's name
 * @param end gets the exit code of the command that ran
 */
export function defineProgram(version: string, args: readonly string[], end: Result): Command {
  const program = new Command("ps-submit")
    .description("Trains a model with a serverless parameter server: on this machine, with --stack on AWS")
    .version(version)
    .enablePositionalOptions()
    .showHelpAfterError("(ps-submit --help shows how it is used)")
    .argument("[jobfile]", "the job to run: submits it, or goes on with it where it stands")
    .option("--set <field=value>", "override a field of the job file; may be repeated", collect)
    .addOption(workersOption())
    .option("--detach", "run in the background")
    .option("--print", "show the job with every default filled in, and run nothing")
    .addHelpText(
      "after",
      examples(
        "examples/shakespeare.json",
        "job.json --set steps=20 --set optimizer.learningRate=1e-3",
        "job.json --workers 4 --detach",
        "job.json --print",
      ) + EXIT_CODES,
    )
    .action(async (file: string | undefined, options) => {
      if (file === undefined) return program.help({ error: true });
      const { submit } = await import("./commands/submit.ts");
      end(await submit(file, options, args));
    });
  defineViews(program, end);
  defineControl(program, args, end);
  defineResults(program, args, end);
  defineData(program, end);
  program
    .command("doctor")
    .description("show what jobs find on this machine, or with --stack on AWS, and how to fix what they miss")
    .addHelpText("after", examples("doctor", "doctor --stack serverless-ps"))
    .action(async () => end(await (await import("./commands/doctor.ts")).doctor()));
  definePlace(program);
  for (const command of program.commands) {
    command.showHelpAfterError(`(ps-submit ${command.name()} --help shows how it is used)`);
  }
  return program;
}

/**
 * Refuses a first word that is neither a file nor a command, but close to a command.
 *
 * @throws InvalidInput with the command that was probably meant
 */
export function refuseMistyped(word: string | undefined, program: Command): void {
  const commands = program.commands.map((command) => command.name());
  if (word === undefined || commands.includes(word) || existsSync(word)) return;
  const command = closest(word, commands);
  if (command === null) return;
  throw new InvalidInput(`no job file ${word}; did you mean the command ${command}?`);
}

/** Where jobs are may be said before the verb or after it. */
function definePlace(program: Command): void {
  for (const command of [program, ...program.commands]) {
    command
      .optionsGroup("Where jobs are:")
      .option("--stack <name>", "on AWS, deployed with `npx cdk deploy --all` (or PS_STACK)")
      .option("--region <region>", "of AWS (or AWS_REGION)")
      .option("--profile <profile>", "of your AWS settings (or AWS_PROFILE)")
      .option("--endpoint-url <url>", "an S3 and SQS such as LocalStack's (or AWS_ENDPOINT_URL)");
  }
  program.hook("preAction", (_, command) => {
    const note = choosePlace(command.optsWithGlobals<PlaceOptions>());
    if (note !== null && !hasFilteredStderr()) process.stderr.write(`${note}\n`);
  });
}

function defineViews(program: Command, end: Result): void {
  program
    .command("status")
    .description("show how a job stands")
    .addArgument(jobArgument())
    .option("--json", "print one JSON object: job, status, active, step, steps, loss, reason, sha256, ...")
    .addHelpText("after", examples("status shakespeare", "status shakespeare --json | jq -r .sha256"))
    .action(async (job, options) => end(await (await import("./commands/status.ts")).status(job, options)));
  program
    .command("watch")
    .description("show how a job goes that runs elsewhere; Ctrl-C leaves it running")
    .addArgument(jobArgument())
    .addHelpText("after", examples("watch shakespeare"))
    .action(async (job) => end(await (await import("./commands/watch.ts")).watch(job)));
  program
    .command("list")
    .description("list all jobs")
    .addHelpText("after", examples("list"))
    .action(async () => end(await (await import("./commands/list.ts")).list()));
  program
    .command("logs")
    .description("print what a job's processes wrote")
    .addArgument(jobArgument())
    .argument("[process]", "only this one: runner, functions, worker-0, ...")
    .option("-f, --follow", "go on until the job has ended")
    .addHelpText("after", examples("logs shakespeare", "logs shakespeare worker-0 --follow"))
    .action(async (job, name, options) =>
      end(await (await import("./commands/logs.ts")).logs(job, name, options)),
    );
}

function defineControl(program: Command, args: readonly string[], end: Result): void {
  program
    .command("cancel")
    .description("end a job; what it has reached is kept")
    .addArgument(jobArgument())
    .addHelpText("after", examples("cancel shakespeare"))
    .action(async (job) => end(await (await import("./commands/cancel.ts")).cancel(job)));
  program
    .command("workers")
    .description("give a running job more or fewer workers; never changes the result")
    .addArgument(jobArgument())
    .argument("<n>", "how many it is to have", wholeNumber(1))
    .addHelpText("after", examples("workers shakespeare 4"))
    .action(async (job, n) => end(await (await import("./commands/workers.ts")).workers(job, n)));
  program
    .command("resume")
    .description("go on with a job that was stopped, failed or interrupted, or train it further")
    .addArgument(jobArgument())
    .option("--steps <n>", "train until this step", wholeNumber(1))
    .addOption(workersOption())
    .option("--detach", "run in the background")
    .addHelpText("after", examples("resume shakespeare", "resume shakespeare --steps 5000"))
    .action(async (job, options) => {
      const { resume } = await import("./commands/resume.ts");
      end(await resume(job, options, args));
    });
  program
    .command("cleanup")
    .description("find what crashes left behind that no job needs: queues, workers, gradients, uploads")
    .option("--yes", "remove it; default: only show it")
    .addHelpText("after", examples("cleanup", "cleanup --yes", "cleanup --stack serverless-ps"))
    .action(async (options) => end(await (await import("./commands/cleanup.ts")).cleanup(options)));
}

function defineResults(program: Command, args: readonly string[], end: Result): void {
  program
    .command("pull")
    .description("write a job's model to a directory that Hugging Face tools load")
    .addArgument(jobArgument())
    .argument("<directory>", "must be empty, or not there")
    .option("--version <n>", "this version; default: the latest", wholeNumber(0))
    .addHelpText("after", examples("pull shakespeare model/", "pull shakespeare model-500/ --version 500"))
    .action(async (job, dir, options) =>
      end(await (await import("./commands/pull.ts")).pull(job, dir, options)),
    );
  defineUse(program, args, end);
}

/** What can be done with a model: a job's, or that of a directory. */
function defineUse(program: Command, args: readonly string[], end: Result): void {
  const SOURCE = "a job, or a directory with config.json, model.safetensors and tokenizer.json";
  const version = () =>
    new Option("--version <n>", "this version of the job; default: the latest").argParser(wholeNumber(0));
  program
    .command("generate")
    .description("continue a text with a model, while its job runs or after")
    .argument("<model>", SOURCE)
    .requiredOption(
      "--prompt <text>",
      "what the text begins with; may be repeated, for several texts",
      collect,
    )
    .addOption(version())
    .option("--max-new-tokens <n>", "length of what is added", wholeNumber(1), 200)
    .option("--temperature <t>", "below 1 bolder, above 1 more varied; 0: always the likeliest", decimal, 0.8)
    .option("--top-k <n>", "draw from the n likeliest tokens only", wholeNumber(1))
    .option("--top-p <p>", "draw from the fewest tokens that have this share of the probability", share)
    .option("--repetition-penalty <x>", "above 1: tokens that are there already get less likely", decimal)
    .option("--stop <text>", "end before this text comes; may be repeated", collect)
    .option("--seed <n>", "same seed, same text; default: another one each time", wholeNumber(0))
    .option("--json", "print a JSON object a text when all are done: prompt, text, tokens, end")
    .addHelpText(
      "after",
      `
A text may get longer than the model's context: each time it is full its oldest quarter is forgotten.
${examples(
  'generate shakespeare --prompt "ROMEO:"',
  'generate shakespeare --version 500 --prompt "O" --top-k 10 --seed 7',
  `generate my-model/ --prompt "To be" --prompt "Not to be" --top-p 0.9 --stop $'\n\n'`,
)}`,
    )
    .action(async (model, flags) =>
      end(await (await import("./commands/generate.ts")).generate(model, flags)),
    );
  program
    .command("fill-mask")
    .description("guess the hidden tokens of a text, with a model such as BERT")
    .argument("<model>", SOURCE)
    .argument("<text>", "with [MASK] where a token is hidden")
    .addOption(version())
    .option("--top-k <n>", "guesses for each mask", wholeNumber(1), 5)
    .option("--json", "print one JSON array: for each mask its guesses")
    .addHelpText("after", examples('fill-mask my-bert/ "Paris is the [MASK] of France."'))
    .action(async (model, text, flags) =>
      end(await (await import("./commands/fill-mask.ts")).fillMask(model, text, flags)),
    );
  program
    .command("evaluate")
    .description("how well a model predicts a text: loss, perplexity, bits per byte")
    .argument("<model>", SOURCE)
    .argument(
      "[file]",
      "a UTF-8 text, of any size; default: what the job holds out, as its own evaluations have it",
    )
    .addOption(version())
    .option("--json", "print one JSON object: loss, perplexity, bitsPerByte, tokens, predicted, bytes")
    .addHelpText(
      "after",
      `
The text is cut into windows of the model's context, end to end. Every token but the first is predicted once, from
those before it in its window. A BERT predicts 15 % of the tokens of each window, the same ones every time.
A model of your own predicts whole windows only.
${examples("evaluate shakespeare", "evaluate shakespeare held-out.txt", "evaluate my-model/ held-out.txt --json | jq .perplexity")}`,
    )
    .action(async (model, file, flags) => {
      const command = async () => (await import("./commands/evaluate.ts")).evaluate(model, file, flags);
      end(await withFilteredStderr(args, command));
    });
}

function defineData(program: Command, end: Result): void {
  program
    .command("data")
    .description("tokenize texts as a job would, and show what comes of it")
    .argument("<files...>", "text, .jsonl, .parquet or .bin files, directories, globs")
    .option("--tokenizer <kind>", "char, byte, train, or the path of a tokenizer.json; default: char")
    .option("--vocab <n>", "tokens of the tokenizer to train, or distinct tokens of a .bin", wholeNumber(1))
    .option("--field <name>", "where a document stands in a line of .jsonl or a row of .parquet")
    .option("--out <directory>", "also write tokens.bin and the tokenizer there")
    .addHelpText(
      "after",
      examples(
        "data corpus.txt",
        "data corpus/ --vocab 8192 --out tokenized/",
        "data pages.jsonl --field content --tokenizer model/",
      ),
    )
    .action(async (files, flags) => end(await (await import("./commands/data.ts")).data(files, flags)));
}
