import { parseArgs } from "node:util";
import { fuzz, keep } from "./fuzz.ts";
import { TARGETS } from "./targets.ts";

/** usage: npm run fuzz -- [--minutes N] [--target NAME] [--seed N]   findings are kept in test/fuzz/cases/ */
const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    target: { type: "string" },
    seed: { type: "string", default: `${Date.now() % 1_000_000_007}` },
  },
});
const names = values.target === undefined ? Object.keys(TARGETS) : [values.target];
for (const name of names) {
  const { runs, finding } = await fuzz(name, Number(values.minutes) * 60_000, Number(values.seed));
  console.log(
    `${name}: ${runs} inputs, seed ${values.seed}, ${finding ? `FOUND ${finding.why}` : "nothing found"}`,
  );
  if (!finding) continue;
  console.log(`kept as ${keep(name, finding)}`);
  process.exitCode = 1;
}
process.exit();
