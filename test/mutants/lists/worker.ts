import type { Mutant } from "../mutant.ts";

/** Mutants of worker/ and ml/. */
export const workerMutants: readonly Mutant[] = [
  {
    name: "ack before perform",
    file: "worker/loop.ts",
    find: "else await loop.tasks.perform(task);",
    put: `else {
      await lease.acknowledge();
      await loop.tasks.perform(task);
    }`,
    tests: ["test/worker/loop.test.ts"],
  },
  {
    name: "pull without sha",
    file: "worker/pull.ts",
    find: "requireDigest(range, parameters, what);",
    put: "void [range, parameters, what];",
    tests: ["test/worker/pull.test.ts"],
  },
  {
    name: "dedup without handout",
    file: "worker/push.ts",
    find: "updates, messages, () =>",
    put: "updates, messages, () => String(1000 * step + rank) ||",
    tests: ["test/worker/push.test.ts"],
  },
  {
    name: "keeper no renew",
    file: "worker/lease-renewer.ts",
    find: "else this.#timer = setInterval(renew, ",
    put: "else this.#timer = setInterval(() => {}, ",
    tests: ["test/worker/lease-renewer.test.ts"],
  },
  {
    name: "fetched dataset unverified",
    file: "worker/dataset.ts",
    find: "if (dataset.digest === digest) return;",
    put: "if (dataset.digest) return;",
    tests: ["test/worker/dataset.test.ts"],
  },
  {
    name: "pull frozen unverified",
    file: "worker/frozen.ts",
    find: "const check = () => requireDigest(bytesOf(values), frozen.sha256, key);",
    put: "const check = () => {};",
    tests: ["test/worker/pull.test.ts"],
  },
  {
    name: "module unverified",
    file: "worker/user-module.ts",
    find: "requireDigest(bytes, digest, key);",
    put: "void [bytes, digest, key];",
    tests: ["test/promises/own-model.test.ts"],
  },
  {
    name: "accumulation not averaged",
    file: "worker/trainer.ts",
    find: "if (accumulation > 1) scale",
    put: "if (accumulation < 1) scale",
    tests: ["test/worker/trainer.test.ts"],
  },
  {
    name: "clip off",
    file: "worker/trainer.ts",
    find: "if (optimizer.clipNorm !== null) clip",
    put: "if (optimizer.clipNorm === 0) clip",
    tests: ["test/worker/trainer.test.ts"],
  },
  {
    name: "batch without rank",
    file: "ml/data/batches.ts",
    find: "indices: [step, rank, row]",
    put: "indices: [step, 0, row]",
    tests: ["test/ml/data/batches.test.ts"],
  },
  {
    name: "heldout overlap",
    file: "ml/data/batches.ts",
    find: "heldOut: { start: cut, end: tokens }",
    put: "heldOut: { start: cut - 1, end: tokens }",
    tests: ["test/ml/data/batches.test.ts"],
  },
  {
    name: "cached dataset unverified",
    file: "ml/data/dataset-cache.ts",
    find: "if (dataset.digest === digest) return dataset;",
    put: "if (dataset.digest) return dataset;",
    tests: ["test/worker/dataset.test.ts"],
  },
];
