import type { Mutant } from "../mutant.ts";

/** Mutants of functions/aggregator/. */
export const aggregatorMutants: readonly Mutant[] = [
  {
    name: "ranks in arrival order",
    file: "functions/aggregator/collect.ts",
    find: "[...pieces.values()].sort((a, b) => a.name.rank - b.name.rank)",
    put: "[...pieces.values()]",
    tests: ["test/functions/aggregate.test.ts"],
  },
  {
    name: "no nan check of piece",
    file: "functions/aggregator/collect.ts",
    find: "if (bad < 0) return piece;",
    put: "if (bad < Number.POSITIVE_INFINITY) return piece;",
    tests: ["test/functions/aggregate.test.ts"],
  },
  {
    name: "no length check of piece",
    file: "functions/aggregator/collect.ts",
    find: "if (piece.gradient.length !== length) {",
    put: "if (length < 0) {",
    tests: ["test/functions/aggregate.test.ts"],
  },
  {
    name: "no update check",
    file: "functions/aggregator/aggregate.ts",
    find: `  checkFinite(shardStep, next);
`,
    put: "",
    tests: ["test/functions/aggregate.test.ts"],
  },
  {
    name: "inline not stored",
    file: "functions/aggregator/collect.ts",
    find: `    await storeInline(server, messages, pieces);
`,
    put: "",
    tests: ["test/functions/aggregate.test.ts"],
  },
  {
    name: "cache piece though exists",
    file: "functions/aggregator/collect.ts",
    find: 'if (created === "created" && piece)',
    put: "if (created && piece)",
    tests: ["test/functions/aggregate.test.ts"],
  },
  {
    name: "cache shard though exists",
    file: "functions/aggregator/aggregate.ts",
    find: 'if (created === "created") server',
    put: "if (created) server",
    tests: ["test/functions/aggregate.test.ts"],
  },
  {
    name: "no ended check in aggregate",
    file: "functions/aggregator/aggregate.ts",
    find: "if (isEnded(state) || step <",
    put: "if (step <",
    tests: ["test/functions/aggregate.test.ts"],
  },
  {
    name: "no late check in aggregate",
    file: "functions/aggregator/aggregate.ts",
    find: "if (isEnded(state) || step < (state.version ?? 0)) return",
    put: "if (isEnded(state)) return",
    tests: ["test/functions/aggregate.test.ts"],
  },
  {
    name: "memory gate off",
    file: "functions/aggregator/aggregate.ts",
    find: "await server.memory.pass(bytesToHold(shardStep), async () => {",
    put: "await ((_: number, work: () => Promise<boolean>) => work())(bytesToHold(shardStep), async () => {",
    tests: ["test/functions/aggregate.test.ts"],
  },
  {
    name: "adam bias step",
    file: "functions/aggregator/optimizer.ts",
    find: "power(beta1, step + 1)",
    put: "power(beta1, step + 2)",
    tests: ["test/functions/optimizer.test.ts"],
  },
  {
    name: "sum reduce as mean",
    file: "functions/aggregator/optimizer.ts",
    find: 'reduce === "mean" ? 1 / gradients.length : 1',
    put: 'reduce === "sum" || reduce === "mean" ? 1 / gradients.length : 1',
    tests: ["test/functions/aggregate.test.ts"],
  },
];
