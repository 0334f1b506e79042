import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Unrecoverable } from "../protocol/errors.ts";
import { median, report } from "./support/report.ts";

/**
 * Measures the time from `ps-submit examples/shakespeare.json` in an empty folder to the first applied update, with the
 * library installed. Its floor is a Node process that loads the backend.
 */

const ROUNDS = 5;
const ASKED_MS = 5000;
const command = resolve("dist/ps-submit.js");
const job = resolve("examples/shakespeare.json");

const submits: number[] = [];
const floors: number[] = [];
for (let i = 0; i < ROUNDS; i++) {
  floors.push(await timeUntil([resolve("dist/backend-probe.js"), "auto", "auto"], null));
  submits.push(
    await timeUntil([command, job, "--set", "steps=5", "--set", "evaluateEvery=0"], /^step \d+\//m),
  );
}
const [floor, submit] = [median(floors), median(submits)];
report("submit to first update, ms, median of 5", {
  "a process that loads the backend": floor,
  "first update shown": submit,
});
console.log(
  `ratio ${(submit / floor).toFixed(2)} to the floor; ${(submit / ASKED_MS).toFixed(2)} of the ${ASKED_MS} ms asked`,
);

/** Measures the ms until a process prints `mark`, or ends when `mark` is null. The process runs to its end. */
async function timeUntil(args: readonly string[], mark: RegExp | null): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "ps-bench-"));
  const env = { ...process.env, PS_CACHE_DIR: join(folder, "cache") };
  const start = performance.now();
  const child = spawn(process.execPath, args, {
    cwd: folder,
    env,
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
  let printed = "";
  let marked: number | null = null;
  child.stdout?.on("data", (text: Buffer) => {
    printed += text;
    if (mark?.test(printed)) marked ??= performance.now();
  });
  const [code] = await once(child, "close");
  if (code !== 0 || (mark && marked === null)) throw new Unrecoverable(`exit status ${code}: ${printed}`);
  rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 200 });
  return (marked ?? performance.now()) - start;
}
