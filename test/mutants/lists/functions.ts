import type { Mutant } from "../mutant.ts";

/** Mutants of the handlers of functions/ and its watchdog. */
export const functionsMutants: readonly Mutant[] = [
  {
    name: "fail ignores attempt",
    file: "functions/updates.ts",
    find: "update.reason, update.attempt)",
    put: "update.reason)",
    tests: ["test/functions/updates.test.ts"],
  },
  {
    name: "group failure not holding back",
    file: "functions/updates.ts",
    find: "return records.slice(i);",
    put: "return records.slice(i, i + 1);",
    tests: ["test/functions/updates.test.ts", "test/functions/back-off.test.ts"],
  },
  {
    name: "watchdog fail race",
    file: "functions/watchdog/watch.ts",
    find: "isEnded(state) || state.updatedAt !== updatedAt",
    put: 'isEnded(state) || updatedAt === ""',
    tests: ["test/functions/watch.test.ts"],
  },
  {
    name: "watchdog redo though leased",
    file: "functions/watchdog/watch.ts",
    find: "depth.waiting + depth.inFlight === 0",
    put: "depth.waiting === 0",
    tests: ["test/functions/watch.test.ts"],
  },
];
