import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { openEmbedded } from "../cli/targets/open-embedded.ts";
import { embeddedIn } from "../test/support/addresses.ts";
import { median, report } from "./support/report.ts";

/**
 * Measures the cold start of the Lambda bundles: from the load of the bundle to its first answer to an SQS event without
 * messages, or to the watchdog's call, which reads S3. Each round is a process of its own. Asked: under 400 ms.
 */

const ROUNDS = 7;
const LIMIT_MS = 400;
const events = { updates: { Records: [] }, "dead-letters": { Records: [] }, watchdog: {} };

const folder = mkdtempSync(join(tmpdir(), "ps-bench-handlers-"));
const target = await openEmbedded(embeddedIn(folder));
try {
  const figures: Record<string, number> = {};
  for (const [name, event] of Object.entries(events)) {
    const bundle = resolve("dist", "lambda", name, "index.mjs");
    const args = [resolve("bench/support/first-response.ts"), bundle, JSON.stringify(event)];
    const env = { ...process.env, ...target.environment };
    const round = () => Number(execFileSync(process.execPath, args, { env, encoding: "utf8" }));
    figures[name] = median(Array.from({ length: ROUNDS }, round));
  }
  report(`load of a bundle to its first answer, ms, medians of ${ROUNDS}`, figures);
  const worst = Math.max(...Object.values(figures));
  console.log(`ratio ${(worst / LIMIT_MS).toFixed(2)} to ${LIMIT_MS} ms (asked: at most 1)`);
} finally {
  target.close();
  rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 200 });
}
