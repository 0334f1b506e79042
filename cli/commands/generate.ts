import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InvalidInput } from "../../protocol/errors.ts";
import { loadBackend } from "../../worker/backend/load.ts";
import { generate as sample } from "../../worker/generate.ts";
import { codeOfSignal, exitCodes } from "../exit.ts";
import { listenForInterruption } from "../interruption.ts";
import { writeModel } from "../model-directory.ts";
import { dataDirectory } from "../paths.ts";
import { openExisting } from "../target.ts";

export type GenerateFlags = {
  readonly prompt: string;
  readonly maxNewTokens: number;
  readonly temperature: number;
  readonly topK?: number | undefined;
  readonly seed?: number | undefined;
};

/** `ps-submit generate JOB`: text from the latest version, printed as it comes; the job may still run. */
export async function generate(job: string, flags: GenerateFlags): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), "ps-generate-"));
  const interruption = listenForInterruption();
  try {
    const wanted = await fetchModel(job, directory);
    const backend = await loadBackend(wanted);
    if (backend.note !== undefined) process.stderr.write(`note: ${backend.note}\n`);
    const { prompt, maxNewTokens, temperature, topK = null, seed = randomSeed() } = flags;
    // Not before the first piece: a prompt that is refused is not printed.
    let unsaid = prompt;
    await sample(
      { directory, backend, prompt, maxNewTokens, temperature, topK, seed, signal: interruption.first },
      (text) => {
        process.stdout.write(unsaid + text);
        unsaid = "";
      },
    );
    process.stdout.write("\n");
    return exitCodes.succeeded;
  } catch (error) {
    const signal = interruption.received();
    if (signal === null) throw error;
    process.stdout.write("\n");
    return codeOfSignal(signal);
  } finally {
    interruption.close();
    await rm(directory, { recursive: true, force: true });
  }
}

/** Puts the latest version into a folder; returns the backend to run it on. */
async function fetchModel(job: string, directory: string): Promise<"auto" | "wasm"> {
  const target = await openExisting(dataDirectory());
  try {
    const { spec } = await target.cloud.jobs.record(job);
    if (spec.model.type !== "gpt2") {
      throw new InvalidInput(`${job} is a ${spec.model.type} model; only a gpt2 model generates text`);
    }
    await writeModel(target.cloud, job, directory);
    return spec.backend === "wasm" ? "wasm" : "auto";
  } finally {
    target.close();
  }
}

const randomSeed = (): number => Math.floor(Math.random() * 2 ** 32);
