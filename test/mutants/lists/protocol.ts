import type { Mutant } from "../mutant.ts";

/** Mutants of protocol/. */
export const protocolMutants: readonly Mutant[] = [
  {
    name: "slots unchecked",
    file: "protocol/shard.ts",
    find: `of [opened.parameters, ...opened.slots].entries()) {
    const name`,
    put: `of [opened.parameters].entries()) {
    const name`,
    tests: ["test/protocol/shard.test.ts"],
  },
  {
    name: "shard version unchecked",
    file: "protocol/shard.ts",
    find: "if (metadata.version !== String(version) || metadata",
    put: "if (metadata",
    tests: ["test/protocol/shard.test.ts"],
  },
  {
    name: "shard number unchecked",
    file: "protocol/shard.ts",
    find: " || metadata.shard !== String(shard)) {",
    put: ") {",
    tests: ["test/protocol/shard.test.ts"],
  },
  {
    name: "piece name unchecked",
    file: "protocol/piece.ts",
    find: "if (metadata.name !== what) {",
    put: 'if (what === "") {',
    tests: ["test/protocol/piece.test.ts"],
  },
  {
    name: "piece digest unchecked",
    file: "protocol/piece.ts",
    find: "if (digest !== metadata.digest)",
    put: 'if (digest === "")',
    tests: ["test/protocol/piece.test.ts"],
  },
];
