/** The S3 keys of the whole system. Versions and steps are zero-padded so that listings sort by number. */

const DIGITS = 9;

export const padded = (n: number): string => String(n).padStart(DIGITS, "0");

export const keys = {
  jobs: "jobs/",
  /** Empty marker of an attempt that has not ended; what the watchdog lists. */
  active: (job: string, attempt: number) => `active/${job}/${attempt}`,
  actives: "active/",

  job: (job: string) => `jobs/${job}/job.json`,
  layout: (job: string) => `jobs/${job}/layout.json`,
  state: (job: string) => `jobs/${job}/state.json`,
  /** Files of the open format other than the weights: config.json, tokenizer files. */
  modelFiles: (job: string) => `jobs/${job}/model/`,

  /** The parameters that do not train, written once. */
  frozen: (job: string) => `jobs/${job}/frozen.safetensors`,

  versions: (job: string) => `jobs/${job}/versions/`,
  version: (job: string, version: number) => `jobs/${job}/versions/${padded(version)}/`,
  shard: (job: string, version: number, shard: number) =>
    `jobs/${job}/versions/${padded(version)}/shard-${shard}.safetensors`,
  manifest: (job: string, version: number) => `jobs/${job}/versions/${padded(version)}/manifest.json`,

  /** At the top of the bucket, since a lifecycle rule knows objects by how their keys begin. */
  allGradients: "gradients/",
  gradients: (job: string) => `gradients/${job}/`,
  gradientsOfShard: (job: string, step: number, shard: number) =>
    `gradients/${job}/${padded(step)}/${shard}/`,
  gradient: (job: string, step: number, shard: number, rank: number) =>
    `gradients/${job}/${padded(step)}/${shard}/${rank}.safetensors`,

  evaluations: (job: string) => `jobs/${job}/evaluations/`,
  evaluation: (job: string, version: number) => `jobs/${job}/evaluations/${padded(version)}.json`,
  histories: (job: string) => `jobs/${job}/history/`,
  history: (job: string, block: number) => `jobs/${job}/history/${padded(block)}.jsonl`,

  checkpoints: (job: string) => `jobs/${job}/checkpoints/`,
  checkpoint: (job: string, version: number, file: string) =>
    `jobs/${job}/checkpoints/${padded(version)}/${file}`,

  /** A file of a Hugging Face directory that jobs start from; the directory's digest names it. */
  pretrained: (digest: string, file: string) => `pretrained/${digest}/${file}`,

  /** A user's own model, one file; its SHA-256 names it. */
  module: (digest: string) => `modules/${digest}.mts`,

  dataset: (digest: string, file: string) => `datasets/${digest}/${file}`,
} as const;

/**
 * The number in the last folder or file name of a key: `.../000000012/` and `.../3.safetensors` give 12 and 3. NaN, which
 * equals no number, for an object that is not ours.
 */
export function numberIn(key: string): number {
  const digits = /(?:^|\/)(?:shard-)?(\d+)(?:\.\w+)?\/?$/.exec(key)?.[1];
  return digits === undefined ? Number.NaN : Number(digits);
}

/** The job and the version or step that an object belongs to; null for one that belongs to no version and no step. */
export function stepOf(key: string): { job: string; step: number; kind: "versions" | "gradients" } | null {
  const [, version, versionStep] = /^jobs\/([^/]+)\/versions\/(\d+)\//.exec(key) ?? [];
  if (version !== undefined) return { job: version, step: Number(versionStep), kind: "versions" };
  const [, job, step] = /^gradients\/([^/]+)\/(\d+)\//.exec(key) ?? [];
  return job === undefined ? null : { job, step: Number(step), kind: "gradients" };
}

/** The attempt that a marker below `active/` is of; null for an object that is no marker. */
export function attemptOfMarker(key: string): { job: string; attempt: number } | null {
  const [, job, attempt] = /^active\/([^/]+)\/(\d+)$/.exec(key) ?? [];
  return job === undefined ? null : { job, attempt: Number(attempt) };
}
