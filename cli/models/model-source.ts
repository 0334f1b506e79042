import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type GenerativeModel, loadGenerativeModel } from "../../ml/inference/generative-model.ts";
import { type LanguageModel, loadLanguageModel } from "../../ml/inference/language-model.ts";
import type { Backend } from "../../ml/tensorflow/backend.ts";
import { loadBackend } from "../../ml/tensorflow/load.ts";
import { InvalidInput } from "../../protocol/errors.ts";
import { makeTemporaryFolder } from "../../protocol/temporary-folder.ts";
import { openExisting } from "../targets/locate.ts";
import type { OpenTarget, Target } from "../targets/target.ts";
import { writeModel } from "./model-directory.ts";

export type SourceFlags = { readonly version?: number | undefined };

export type Source = SourceFlags & {
  /** A directory with a config.json, else a job: its latest version, or the one of `version`. */
  readonly source: string;
};

export type OpenModel = { readonly model: LanguageModel; readonly backend: Backend };

/**
 * Loads what `fill-mask` and `evaluate` work on, and calls `use` with it.
 */
export const withModel = <T>(
  target: Target,
  { source, version }: Source,
  use: (open: OpenModel) => Promise<T>,
): Promise<T> =>
  withDirectory(target, { source, version }, async (directory, wanted) => {
    const backend = await loadBackend(wanted);
    if (backend.note !== undefined) process.stderr.write(`note: ${backend.note}\n`);
    const model = await loadLanguageModel(directory, backend);
    printNotes(model.notes);
    return use({ model, backend }).finally(model.dispose);
  });

/** Loads what `generate` works on, as `withModel` does; it needs no backend. */
export const withGenerativeModel = <T>(
  target: Target,
  { source, version }: Source,
  use: (model: GenerativeModel) => Promise<T>,
): Promise<T> =>
  withDirectory(target, { source, version }, async (directory) => {
    const model = await loadGenerativeModel(directory);
    printNotes(model.notes);
    return use(model).finally(model.dispose);
  });

function printNotes(notes: readonly string[]): void {
  for (const note of notes) process.stderr.write(`note: ${note}\n`);
}

async function withDirectory<T>(
  target: Target,
  { source, version }: Source,
  use: (directory: string, wanted: "auto" | "wasm") => Promise<T>,
): Promise<T> {
  if (isModelDirectory(source)) {
    if (version !== undefined) {
      throw new InvalidInput(`${source} is a directory, which has no versions; --version goes with a job`);
    }
    return use(source, "auto");
  }
  const directory = makeTemporaryFolder("model");
  try {
    return await use(directory, await fetchModel(target, { source, version }, directory));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** A model's directory, rather than the name of a job. */
export const isModelDirectory = (source: string): boolean => existsSync(join(source, "config.json"));

/**
 * Opens the target of a job and calls `use` with it.
 *
 * @throws InvalidInput for a path that can only be a directory and holds no model
 */
export async function withTargetOf<T>(
  target: Target,
  job: string,
  use: (target: OpenTarget) => Promise<T>,
): Promise<T> {
  requireJobName(job);
  const opened = await openExisting(target);
  try {
    return await use(opened);
  } finally {
    opened.close();
  }
}

function requireJobName(source: string): void {
  if (!/[/\\]/.test(source)) return;
  throw new InvalidInput(`${source} has no config.json; give a model's directory, or the name of a job`);
}

/** Puts a version of a job into a folder; returns the backend to run it on. */
async function fetchModel(
  target: Target,
  { source: job, version }: Source,
  directory: string,
): Promise<"auto" | "wasm"> {
  return withTargetOf(target, job, async ({ cloud }) => {
    const { spec } = await cloud.jobs.record(job);
    if (spec.model.type === "linear") {
      throw new InvalidInput(`${job} is a linear model, which has no text; this takes a language model`);
    }
    if (spec.model.type === "module") {
      throw new InvalidInput(
        `${job} is a model of your own (${spec.model.module}), which has a loss and makes no text: evaluate ` +
          "takes it; generate takes gpt2 and llama models, fill-mask bert models",
      );
    }
    await writeModel(cloud, job, directory, { version });
    return spec.backend === "wasm" ? "wasm" : "auto";
  });
}
