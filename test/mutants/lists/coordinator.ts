import type { Mutant } from "../mutant.ts";

/** Mutants of functions/coordinator/. */
export const coordinatorMutants: readonly Mutant[] = [
  {
    name: "gc current gradients",
    file: "functions/coordinator/collect-garbage.ts",
    find: "numberIn(folder) < latest",
    put: "numberIn(folder) <= latest",
    tests: ["test/functions/collect-garbage.test.ts"],
  },
  {
    name: "gc keep 1",
    file: "functions/coordinator/collect-garbage.ts",
    find: "KEPT_VERSIONS = 2",
    put: "KEPT_VERSIONS = 1",
    tests: ["test/functions/collect-garbage.test.ts"],
  },
  {
    name: "gc no pin evaluation",
    file: "functions/coordinator/collect-garbage.ts",
    find: "return isEvaluated(spec, state, version) && !(await store.get(keys.evaluation(spec.name, version)));",
    put: "return store === null;",
    tests: ["test/functions/collect-garbage.test.ts"],
  },
  {
    name: "gc no pin checkpoint",
    file: "functions/coordinator/collect-garbage.ts",
    find: "if (isCheckpointed(spec, state, version) || state.checkpoint?.version === version) return true;",
    put: "",
    tests: ["test/functions/collect-garbage.test.ts"],
  },
  {
    name: "settle ignores attempt",
    file: "functions/coordinator/coordinate.ts",
    find: "!isEnded(state) && state.attempt === attempt",
    put: "!isEnded(state) && attempt > 0",
    tests: ["test/functions/coordinate.test.ts"],
  },
  {
    name: "settle ignores end",
    file: "functions/coordinator/coordinate.ts",
    find: "!isEnded(state) && state.attempt === attempt",
    put: "state.attempt === attempt",
    tests: ["test/functions/coordinate.test.ts"],
  },
  {
    name: "state before tasks",
    file: "functions/coordinator/coordinate.ts",
    find: `  await dispatchTasks(cloud, spec, stated.state, next);
  return settle(cloud, stated, (state) => {
    const status = next === state.steps ? "finishing" : "running";
    return { ...state, status, version: next, loss };
  });`,
    put: `  const settled = await settle(cloud, stated, (state) => {
    const status = next === state.steps ? "finishing" : "running";
    return { ...state, status, version: next, loss };
  });
  await dispatchTasks(cloud, spec, stated.state, next);
  return settled;`,
    tests: ["test/functions/coordinate.test.ts"],
  },
  {
    name: "tasks before manifest",
    file: "functions/coordinator/coordinate.ts",
    find: `  const { loss } = await commitVersion(cloud, spec, next, headers);
  await dispatchTasks(cloud, spec, stated.state, next);`,
    put: `  await dispatchTasks(cloud, spec, stated.state, next);
  const { loss } = await commitVersion(cloud, spec, next, headers);`,
    tests: ["test/functions/coordinate.test.ts"],
  },
  {
    name: "no nudge",
    file: "functions/coordinator/dispatch.ts",
    find: "const wakeUps = ready.map(",
    put: "const wakeUps = ready.slice(ready.length).map(",
    tests: ["test/functions/coordinate.test.ts"],
  },
  {
    name: "review results first",
    file: "functions/coordinator/coordinate.ts",
    find: `  const awaited = version === steps ? await missingEvaluations(cloud, spec, stated.state, steps) : [];
  const results = await readResults(cloud, spec.name);`,
    put: `  const results = await readResults(cloud, spec.name);
  const awaited = version === steps ? await missingEvaluations(cloud, spec, stated.state, steps) : [];`,
    tests: ["test/functions/finishing.test.ts"],
  },
  {
    name: "succeed without checkpoint",
    file: "functions/coordinator/coordinate.ts",
    find: "results.checkpoint?.version === steps && awaited",
    put: "awaited",
    tests: ["test/functions/coordinate.test.ts"],
  },
];
