import type { Mutant } from "./mutant.ts";
import { type Options, readOptions, USAGE } from "./options.ts";
import { type Outcome, Tree } from "./tree.ts";

/**
 * Puts one mutant after the other into a copy of the repository and runs the test files nearest to it. A mutant that no
 * test fails for has survived: its promise has no test. Each test file first runs without a mutant: it must pass, and
 * its time bounds the others. So a run that takes much longer does so because of its mutant, and has noticed it.
 *
 * usage: npm run mutants, see USAGE
 */

type Tried = { readonly mutant: Mutant; readonly outcome: Outcome };

/** No test file takes longer without a mutant. */
const LONGEST_MS = 300_000;
/** A mutant's run may take so much longer than its test files do without it. */
const MARGIN = 3;
const MARGIN_MS = 30_000;

async function main({ picked, seed, lanes }: Options): Promise<number> {
  const started = performance.now();
  if (seed !== null) console.log(`${picked.length} mutants picked by --seed ${seed}`);
  const trees = Array.from({ length: Math.min(lanes, picked.length) }, () => Tree.create());
  process.once("exit", () => {
    for (const tree of trees) tree.remove();
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

  const seconds = await timesOf(trees, picked);
  const tried = await share(trees, picked, async (tree, mutant): Promise<Tried> => {
    const usual = mutant.tests.reduce((sum, file) => sum + (seconds.get(file) ?? 0), 0);
    const outcome = await tree.try(mutant, MARGIN * 1000 * usual + MARGIN_MS);
    console.log(line({ mutant, outcome }));
    return { mutant, outcome };
  });
  const survivors = tried.filter(({ outcome }) => outcome.result === "passed");
  const minutes = ((performance.now() - started) / 60_000).toFixed(1);
  console.log(`\n${tried.length - survivors.length} of ${tried.length} killed in ${minutes} minutes`);
  if (survivors.length > 0) console.log(`survivors:\n${survivors.map(line).join("\n")}`);
  return survivors.length === 0 ? 0 : 1;
}

/** The seconds that each test file takes without a mutant. @throws Error when one does not pass */
async function timesOf(trees: readonly Tree[], picked: readonly Mutant[]): Promise<Map<string, number>> {
  const files = [...new Set(picked.flatMap(({ tests }) => tests))];
  const times = await share(trees, files, async (tree, file) => {
    const { result, failed, seconds } = await tree.run([file], LONGEST_MS);
    if (result === "passed") return [file, seconds] as const;
    throw new Error(
      `${file} must pass without a mutant; it ${result === "failed" ? `fails: ${failed}` : "takes too long"}`,
    );
  });
  const total = times.reduce((sum, [, seconds]) => sum + seconds, 0);
  console.log(`${files.length} test files pass without a mutant, in ${total.toFixed(0)} s together`);
  return new Map(times);
}

/** Does work for every item, an item at a time in each tree. @returns the results in the items' order */
async function share<T, R>(
  trees: readonly Tree[],
  items: readonly T[],
  work: (tree: Tree, item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const left = items.entries();
  const lane = async (tree: Tree) => {
    // All lanes take from one iterator.
    for (const [i, item] of left) results[i] = await work(tree, item);
  };
  await Promise.all(trees.map(lane));
  return results;
}

function line({ mutant, outcome }: Tried): string {
  const words = { passed: "SURVIVED", failed: "killed", "too long": "killed" }[outcome.result];
  const by = outcome.result === "too long" ? "took too long" : (outcome.failed ?? mutant.tests.join(", "));
  const seconds = `${outcome.seconds.toFixed(1)} s`.padStart(7);
  return `${words.padEnd(8)} ${seconds}  ${mutant.name.padEnd(40)} ${mutant.file.padEnd(42)} ${by}`;
}

/** @returns null when an option is wrong, after it has said so */
function optionsOf(args: readonly string[]): Options | null {
  try {
    return readOptions(args);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n${USAGE}`);
    return null;
  }
}

const options = optionsOf(process.argv.slice(2));
try {
  process.exit(options === null ? 2 : await main(options));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
