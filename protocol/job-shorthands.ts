type Fields = Readonly<Record<string, unknown>>;

/** Writes out what a job file may shorten: a text as its path, and types that another field implies. */
export function expandShorthands(job: unknown): unknown {
  return isObject(job) ? { ...job, model: expandModel(job.model), data: expandData(job.data) } : job;
}

function expandModel(model: unknown): unknown {
  if (!isObject(model) || model.type !== undefined) return model;
  if (model.from !== undefined) return { type: "pretrained", ...model };
  return model.module === undefined ? model : { type: "module", ...model };
}

function expandData(data: unknown): unknown {
  if (typeof data === "string") return { type: "text", path: data };
  if (!isObject(data) || data.type !== undefined || data.path === undefined) return data;
  return { type: "text", ...data };
}

const isObject = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);
