import { at } from "../../protocol/required.ts";
import { jobNames } from "./jobs.ts";
import { crashes, planTrial, type Trial } from "./plan.ts";
import { testTrials } from "./test-trials.ts";

/** Each crash point, of a worker and of the functions, with either kind of job in turn: the same bytes. */
testTrials(
  crashes.map((crash, i): Trial => {
    const job = at(jobNames, i % jobNames.length, "a job");
    return { ...planTrial(`point ${i}`, "crash", job), faults: { crash: { ...crash, nth: 1 + (i % 3) } } };
  }),
);
