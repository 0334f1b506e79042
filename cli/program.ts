import { existsSync } from "node:fs";
import { Command } from "commander";
import { InvalidInput } from "../protocol/errors.ts";
import { collect, examples, jobArgument, type Run, wholeNumber, workersOption } from "./arguments.ts";
import { defineModelVerbs } from "./models/verbs.ts";
import { type AddressOptions, parseAddress } from "./targets/address.ts";
import { locateTarget } from "./targets/locate.ts";
import type { Target } from "./targets/target.ts";
import { hasFilteredStderr } from "./terminal/filtered-stderr.ts";
import { closest } from "./terminal/suggestion.ts";

/** The grammar of the command line and its help. What a verb does is in commands/, loaded when the verb is called. */

const EXIT_CODES = `
Exit codes: 0 succeeded, 1 the job failed, 2 wrong input or usage, 3 the job was stopped,
4 trouble with the machine (disk, endpoint, backend), 130 interrupted (Ctrl-C).
Data is kept in ./.ps; PS_DATA_DIR names another folder.
Without --stack and --endpoint-url (PS_STACK, AWS_ENDPOINT_URL) a job runs on this machine alone, and other AWS
settings are ignored.`;

/**
 * @param args the arguments after the program's name
 * @param end gets the exit code of the command that ran
 */
export function defineProgram(
  version: string,
  args: readonly string[],
  end: (code: number) => void,
): Command {
  const run: Run = async (command, verb) => end(await onTarget(command, verb));
  const program = new Command("ps-submit")
    .description("Trains a model with a serverless parameter server: on this machine, or with --stack on AWS")
    .version(version)
    .enablePositionalOptions()
    .showHelpAfterError("(ps-submit --help shows how it is used)")
    .argument(
      "[jobfile]",
      "the job to submit, - for standard input; a job that was submitted before is resumed",
    )
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
    .action(async (file: string | undefined, options, command) => {
      if (file === undefined) return program.help({ error: true });
      await run(command, async (target) => {
        const { submit } = await import("./commands/submit.ts");
        return submit(target, file, options, args);
      });
    });
  defineViews(program, run);
  defineControl(program, args, run);
  definePull(program, run);
  defineModelVerbs(program, args, run);
  defineDoctor(program, run);
  defineTargetOptions(program);
  defineSetup(program, end);
  for (const command of program.commands) {
    command.showHelpAfterError(`(ps-submit ${command.name()} --help shows how it is used)`);
  }
  return program;
}

/** Setting up concerns this machine only, so it takes no target. */
function defineSetup(program: Command, end: (code: number) => void): void {
  program
    .command("setup")
    .description(
      "install native TensorFlow, where npm did not run this package's install script or it failed",
    )
    .addHelpText(
      "after",
      `
It downloads 230 MB once for this user (PS_CACHE_DIR names the folder) and takes Python 3 with pip and a C++ compiler.
${examples("setup", "doctor")}`,
    )
    .action(async () => end(await (await import("./commands/setup.ts")).setup()));
}

async function onTarget(command: Command, verb: (target: Target) => Promise<number>): Promise<number> {
  const address = parseAddress(command.optsWithGlobals<AddressOptions>(), process.env);
  if (address.note !== null && !hasFilteredStderr()) process.stderr.write(`${address.note}\n`);
  const target = await locateTarget(address);
  try {
    return await verb(target);
  } catch (error) {
    throw await target.explain(error);
  }
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

/** Adds the options that name the target. They may stand before the verb or after it. */
function defineTargetOptions(program: Command): void {
  for (const command of [program, ...program.commands]) {
    command
      .optionsGroup("Where jobs are:")
      .option("--stack <name>", "a stack on AWS, deployed with `npx cdk deploy --all` (or PS_STACK)")
      .option("--region <region>", "the AWS region of the stack (or AWS_REGION)")
      .option("--profile <profile>", "the profile of your AWS settings to use (or AWS_PROFILE)")
      .option("--endpoint-url <url>", "another S3 and SQS, such as LocalStack's (or AWS_ENDPOINT_URL)");
  }
}

function defineViews(program: Command, run: Run): void {
  program
    .command("status")
    .description("show the state of a job")
    .addArgument(jobArgument())
    .option("--json", "print one JSON object: job, status, active, step, steps, loss, reason, sha256, ...")
    .addHelpText("after", examples("status shakespeare", "status shakespeare --json | jq -r .sha256"))
    .action((job, options, command) =>
      run(command, async (target) => (await import("./commands/status.ts")).status(target, job, options)),
    );
  program
    .command("watch")
    .description("show the progress of a job that runs in another process; Ctrl-C leaves it running")
    .addArgument(jobArgument())
    .addHelpText("after", examples("watch shakespeare"))
    .action((job, _, command) =>
      run(command, async (target) => (await import("./commands/watch.ts")).watch(target, job)),
    );
  program
    .command("list")
    .description("list all jobs")
    .addHelpText("after", examples("list"))
    .action((_, command) =>
      run(command, async (target) => (await import("./commands/list.ts")).list(target)),
    );
  program
    .command("logs")
    .description("print what a job's processes wrote")
    .addArgument(jobArgument())
    .argument("[process]", "only this process: runner, functions, worker-0, ...")
    .option("-f, --follow", "keep printing until the job has ended")
    .addHelpText("after", examples("logs shakespeare", "logs shakespeare worker-0 --follow"))
    .action((job, process, { follow = false }, command) =>
      run(command, async (target) =>
        (await import("./commands/logs.ts")).logs(target, job, { process, follow }),
      ),
    );
}

function defineControl(program: Command, args: readonly string[], run: Run): void {
  program
    .command("cancel")
    .description("end a job; the version it has reached is kept")
    .addArgument(jobArgument())
    .addHelpText("after", examples("cancel shakespeare"))
    .action((job, _, command) =>
      run(command, async (target) => (await import("./commands/cancel.ts")).cancel(target, job)),
    );
  program
    .command("workers")
    .description("give a running job more or fewer workers; never changes the result")
    .addArgument(jobArgument())
    .argument("<n>", "the number of workers", wholeNumber(1))
    .addHelpText("after", examples("workers shakespeare 4"))
    .action((job, n, _, command) =>
      run(command, async (target) => (await import("./commands/workers.ts")).workers(target, job, n)),
    );
  program
    .command("resume")
    .description("resume a job that was stopped, failed or interrupted, or train it further")
    .addArgument(jobArgument())
    .option("--steps <n>", "train until this step", wholeNumber(1))
    .option(
      "--from <version>",
      "go back to this version first, and remove what was made after it",
      wholeNumber(0),
    )
    .addOption(workersOption())
    .option("--detach", "run in the background")
    .addHelpText(
      "after",
      examples("resume shakespeare", "resume shakespeare --steps 5000", "resume shakespeare --from 400"),
    )
    .action((job, options, command) =>
      run(command, async (target) =>
        (await import("./commands/resume.ts")).resume(target, job, options, args),
      ),
    );
  program
    .command("cleanup")
    .description("find what crashes left behind and no job needs: queues, workers, gradients, uploads")
    .option("--yes", "remove it; default: only show it")
    .addHelpText("after", examples("cleanup", "cleanup --yes", "cleanup --stack serverless-ps"))
    .action((options, command) =>
      run(command, async (target) => (await import("./commands/cleanup.ts")).cleanup(target, options)),
    );
}

function definePull(program: Command, run: Run): void {
  program
    .command("pull")
    .description("write a job's model to a directory that Hugging Face tools load")
    .addArgument(jobArgument())
    .argument("<directory>", "an empty directory, or one that does not exist yet")
    .option("--version <n>", "write this version; default: the latest", wholeNumber(0))
    .addHelpText("after", examples("pull shakespeare model/", "pull shakespeare model-500/ --version 500"))
    .action((job, directory, options, command) =>
      run(command, async (target) =>
        (await import("./commands/pull.ts")).pull(target, job, directory, options),
      ),
    );
}

function defineDoctor(program: Command, run: Run): void {
  program
    .command("doctor")
    .description(
      "check that this machine, or a stack on AWS, has what jobs need; show how to fix what it lacks",
    )
    .addHelpText("after", examples("doctor", "doctor --stack serverless-ps"))
    .action((_, command) =>
      run(command, async (target) => (await import("./commands/doctor.ts")).doctor(target)),
    );
}
