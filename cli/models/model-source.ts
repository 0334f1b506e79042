import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type GenerativeModel, loadGenerativeModel } from "../../ml/inference/generative-model.ts";
import { type LanguageModel, loadLanguageModel } from "../../ml/inference/language-model.ts";
import type { Backend } from "../../ml/tensorflow/backend.ts";
import { loadBackend } from "../../ml/tensorflow/load.ts";
import { InvalidInput } from "../../protocol/errors.ts";
import { openExisting, type Target } from "../targets/target.ts";
import { writeModel } from "./model-directory.ts";

export type SourceFlags = { readonly version?: number | undefined };

export type OpenModel = { readonly model: LanguageModel; readonly backend: Backend };

/**
 * Loads what `fill-mask` and `evaluate` work on, and calls `use` with it.
 *
 * @param source a directory with a config.json, else a job: its latest version, or the one that the flags name
 */
export const withModel = <T>(
  source: string,
  flags: SourceFlags,
  use: (open: OpenModel) => Promise<T>,
): Promise<T> =>
  withDirectory(source, flags, async (directory, wanted) => {
    const backend = await loadBackend(wanted);
    if (backend.note !== undefined) process.stderr.write(`note: ${backend.note}\n`);
    const model = await loadLanguageModel(directory, backend);
    return use({ model, backend }).finally(model.dispose);
  });

/** Loads what `generate` works on, as `withModel` does; it needs no backend. */
export const withGenerativeModel = <T>(
  source: string,
  flags: SourceFlags,
  use: (model: GenerativeModel) => Promise<T>,
): Promise<T> =>
  withDirectory(source, flags, async (directory) => {
    const model = await loadGenerativeModel(directory);
    return use(model).finally(model.dispose);
  });

async function withDirectory<T>(
  source: string,
  flags: SourceFlags,
  use: (directory: string, wanted: "auto" | "wasm") => Promise<T>,
): Promise<T> {
  if (isModelDirectory(source)) {
    if (flags.version !== undefined) {
      throw new InvalidInput(`${source} is a directory, which has no versions; --version goes with a job`);
    }
    return use(source, "auto");
  }
  const directory = await mkdtemp(join(tmpdir(), "ps-model-"));
  try {
    return await use(directory, await fetchModel(source, directory, flags.version));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** A model's directory, rather than the name of a job. */
export const isModelDirectory = (source: string): boolean => existsSync(join(source, "config.json"));

/**
 * Calls `use` with the place where a job is.
 *
 * @throws InvalidInput for what can only be a directory, and is none of a model
 */
export async function withJobsPlace<T>(job: string, use: (target: Target) => Promise<T>): Promise<T> {
  requireJobName(job);
  const target = await openExisting();
  try {
    return await use(target);
  } finally {
    target.close();
  }
}

function requireJobName(source: string): void {
  if (!/[/\\]/.test(source)) return;
  throw new InvalidInput(`${source} has no config.json; give a model's directory, or the name of a job`);
}

/** Puts a version of a job into a folder; returns the backend to run it on. */
async function fetchModel(
  job: string,
  directory: string,
  version: number | undefined,
): Promise<"auto" | "wasm"> {
  return withJobsPlace(job, async ({ cloud }) => {
    const { spec } = await cloud.jobs.record(job);
    if (spec.model.type === "linear") {
      throw new InvalidInput(`${job} is a linear model, which has no text; this takes a language model`);
    }
    if (spec.model.type === "module") {
      throw new InvalidInput(
        `${job} is a model of your own (${spec.model.module}), of which only a loss is known and no text: evaluate ` +
          "takes it; generate takes gpt2 and llama models, fill-mask bert models",
      );
    }
    await writeModel(cloud, job, directory, { version });
    return spec.backend === "wasm" ? "wasm" : "auto";
  });
}
