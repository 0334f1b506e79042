import type { Scalar } from "@tensorflow/tfjs";
import { z } from "zod";
import { describe, PsError, Unrecoverable } from "../../protocol/errors.ts";
import type { ModelSpec } from "../../protocol/model-spec.ts";
import { elements } from "../../protocol/safetensors.ts";
import type { Dataset } from "../data/dataset.ts";
import type { ModelDescription } from "./model.ts";
import type { UserArray, UserModel, UserSizes } from "./user-model-types.d.ts";

export type ModuleSpec = Extract<ModelSpec, { type: "module" }>;

/** The part of a job that a user's model gets. */
export function sizesOf(model: ModuleSpec, dataset: Dataset | null): UserSizes {
  const { options, context = null } = model;
  return { options, context, vocabulary: dataset?.meta.vocabulary ?? null };
}

/** @throws Unrecoverable when a module's default export is no model */
export function checkUserModel(value: unknown, name: string): UserModel {
  const model = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const isFunction = (field: string) => typeof model[field] === "function";
  const missing = ["parameters", "loss"].filter((field) => !isFunction(field));
  if (missing.length > 0) {
    throw new Unrecoverable(
      `${name} must export default an object with the function ${missing.join(" and ")}`,
    );
  }
  for (const field of ["batch", "files"]) {
    if (model[field] !== undefined && !isFunction(field)) {
      throw new Unrecoverable(`${name}: ${field} must be a function, got ${typeof model[field]}`);
    }
  }
  return value as UserModel;
}

/**
 * Calls a user's function. What it throws ends the job with that reason, as the next try would throw it too.
 *
 * @throws Unrecoverable naming the module and the function
 */
export function callUser<T>(name: string, what: string, call: () => T): T {
  try {
    return call();
  } catch (cause) {
    if (cause instanceof PsError) throw cause;
    throw new Unrecoverable(`${name}: ${what} threw ${describe(cause)}`, { cause });
  }
}

const size = z.int().min(1);
const parametersSchema = z
  .array(
    z.strictObject({
      name: z.string().regex(/^[\w.-]{1,200}$/, "must be 1 to 200 letters, digits and . _ -"),
      shape: z.array(size).max(8),
      init: z.discriminatedUnion("type", [
        z.strictObject({ type: z.literal("zeros") }),
        z.strictObject({ type: z.literal("ones") }),
        z.strictObject({ type: z.literal("normal"), deviation: z.number().positive() }),
      ]),
    }),
  )
  .min(1);

const filesSchema = z.record(z.string().regex(/^[\w.-]+\.(json|txt|md)$/), z.string());

/** The names of files that checkpoints have anyway. */
const OWN = ["training_state.json"];

/**
 * A user's model, checked.
 *
 * @throws Unrecoverable when it describes no model
 */
export function describeUserModel(name: string, model: UserModel, sizes: UserSizes): ModelDescription {
  const parameters = checked(
    parametersSchema,
    callUser(name, "parameters", () => model.parameters(sizes)),
    `${name}: parameters`,
  );
  const twice = parameters.find(({ name: own }, i) => parameters.findIndex((p) => p.name === own) !== i);
  if (twice)
    throw new Unrecoverable(`${name}: parameters must have different names, got ${twice.name} twice`);
  const ownFiles = callUser(name, "files", () => model.files?.(sizes) ?? {});
  const files = checked(filesSchema, ownFiles, `${name}: files`);
  const taken = Object.keys(files).find((file) => OWN.includes(file));
  if (taken !== undefined) throw new Unrecoverable(`${name}: files must not have ${taken}`);
  const config = { model_type: "module", options: sizes.options, torch_dtype: "float32" };
  return { parameters, files: { "config.json": `${JSON.stringify(config, null, 2)}\n`, ...files } };
}

function checked<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map(({ path, message }) => `${path.join(".") || "value"}: ${message}`);
  throw new Unrecoverable(`${what} are malformed (${problems.join("; ")})`);
}

/** @throws Unrecoverable when an array of a batch does not fit its shape */
export function checkBatch(name: string, batch: unknown): Readonly<Record<string, UserArray>> {
  if (typeof batch !== "object" || batch === null || Object.keys(batch).length === 0) {
    throw new Unrecoverable(`${name}: batch must return an object of arrays, got ${String(batch)}`);
  }
  for (const [key, value] of Object.entries(batch)) {
    const { shape, values } = (value ?? {}) as Partial<UserArray>;
    const isArray = values instanceof Float32Array || values instanceof Int32Array;
    if (!isArray || !Array.isArray(shape) || !shape.every((n) => Number.isSafeInteger(n) && n >= 0)) {
      throw new Unrecoverable(`${name}: batch.${key} must be { shape, values: Float32Array or Int32Array }`);
    }
    if (values.length !== elements(shape)) {
      throw new Unrecoverable(`${name}: batch.${key} has shape [${shape}] but ${values.length} values`);
    }
  }
  return batch as Readonly<Record<string, UserArray>>;
}

/** @throws Unrecoverable when what a user's `loss` returned is no scalar */
export function checkLoss(name: string, loss: Scalar): Scalar {
  const shape: unknown = (loss as Partial<Scalar> | null | undefined)?.shape;
  if (Array.isArray(shape) && shape.length === 0) return loss;
  const got = Array.isArray(shape) ? `shape [${shape}]` : String(loss);
  throw new Unrecoverable(`${name}: loss must return a scalar tensor, got ${got}; take tf.mean of it`);
}
