import { openDataset } from "../ml/data/dataset.ts";
import type { ModuleAnswer } from "../ml/models/module-process.ts";
import { describeUserModel } from "../ml/models/user-model.ts";
import type { UserModel, UserSizes } from "../ml/models/user-model-types.d.ts";
import { importModule } from "../ml/models/user-module.ts";
import { Bug, describe, PsError } from "../protocol/errors.ts";
import type { JobSpec } from "../protocol/job.ts";
import type { Layout } from "../protocol/layout.ts";
import type { Provenance } from "../protocol/records.ts";
import { required } from "../protocol/required.ts";
import type { Trainer } from "./trainer.ts";

/** The process that runs a user's module: `ModuleProcess` starts it, and says what it may do. */

export type TrainRequest = {
  readonly spec: JobSpec;
  readonly layout: Layout;
  readonly frozen: Float32Array | null;
  /** The folder of the job's text. */
  readonly dataset: string | null;
  readonly backend: Pick<Provenance, "backend" | "device">;
};
export type GradientRequest = { readonly theta: Float32Array; readonly step: number; readonly rank: number };

type Requests = {
  readonly open: { readonly file: string; readonly name: string };
  readonly describe: { readonly sizes: UserSizes };
  readonly train: TrainRequest;
  readonly gradient: GradientRequest;
  readonly evaluate: { readonly theta: Float32Array };
};

let user: UserModel | null = null;
let name = "";
let trainer: Trainer | null = null;

const methods: { readonly [K in keyof Requests]: (request: Requests[K]) => Promise<unknown> } = {
  async open(request) {
    name = request.name;
    user = await importModule(request.file, name);
  },
  describe: async ({ sizes }) => describeUserModel(name, required(user, "the module"), sizes),
  async train({ spec, layout, frozen, dataset, backend }) {
    const [{ loadBackend }, { createTrainer }] = await Promise.all([
      import("../ml/tensorflow/load.ts"),
      import("./trainer.ts"),
    ]);
    trainer = createTrainer({
      backend: await loadBackend(backend.backend, { device: backend.device }),
      ...{ spec, layout, frozen },
      dataset: dataset === null ? null : await openDataset(dataset),
      user: required(user, "the module"),
    });
  },
  gradient: ({ theta, step, rank }) => required(trainer, "the trainer").gradient(theta, step, rank),
  evaluate: ({ theta }) => required(trainer, "the trainer").evaluate(theta),
};

const isMethod = (method: string): method is keyof Requests => Object.hasOwn(methods, method);

async function answer(id: number, method: string, args: never): Promise<ModuleAnswer> {
  try {
    if (!isMethod(method)) throw new Bug(`a module's process has no ${method}`);
    return { id, value: await methods[method](args) };
  } catch (error) {
    return { id, error: { kind: error instanceof PsError ? error.name : "Error", message: describe(error) } };
  }
}

const reply = required(process.send, "the channel to the parent").bind(process);
process.on("message", ({ id, method, args }: { id: number; method: string; args: never }) => {
  void answer(id, method, args).then((message) => reply(message));
});
process.once("disconnect", () => process.exit());
