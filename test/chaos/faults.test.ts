import { kinds, planTrial } from "./plan.ts";
import { testTrials } from "./test-trials.ts";

/** A trial of each kind of fault but crashes: the same bytes. `npm run chaos` runs many of them. */
const seed = process.env.PS_CHAOS_SEED ?? "1";
testTrials(kinds.filter((kind) => kind !== "crash").map((kind) => planTrial(seed, kind)));
