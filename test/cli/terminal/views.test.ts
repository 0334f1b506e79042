import assert from "node:assert/strict";
import { test } from "node:test";
import { eventsBetween } from "../../../cli/runner/job-follower.ts";
import { notesOnSteps } from "../../../cli/runner/steps.ts";
import { bar, sparkline } from "../../../cli/terminal/chart.ts";
import { count, duration, loss, short } from "../../../cli/terminal/format.ts";
import { outcomeLines } from "../../../cli/terminal/outcome.ts";
import { plainReporter } from "../../../cli/terminal/plain.ts";
import { addSteps, beginProgress, etaOf, type Progress, ratesOf } from "../../../cli/terminal/progress.ts";
import { renderBlock, renderLine } from "../../../cli/terminal/render.ts";
import { plainStyle } from "../../../cli/terminal/style.ts";
import type { JobRecord, Metrics, State } from "../../../protocol/records.ts";
import { jobOf } from "../../support/job.ts";
import { tinyJob } from "../command.ts";

const now = "2026-01-01T00:00:00.000Z";

const record: JobRecord = {
  spec: jobOf({ name: "tiny", ...tinyJob, steps: 2000 }, "job"),
  dataset: "0".repeat(64),
  provenance: {
    createdAt: now,
    version: "0.1.0",
    node: "v24.0.0",
    platform: "linux-x64",
    backend: "tensorflow",
    device: "cpu",
    library: "2.18.1",
    flags: {},
  },
};

const state: State = {
  ...{ job: "tiny", status: "running", reason: null, version: 100, steps: 2000, attempt: 1, loss: 2.5119 },
  ...{ evaluation: null, checkpoint: null, createdAt: now, updatedAt: now, endedAt: null },
};

function step(version: number, changes: Partial<Metrics> = {}): Metrics {
  const times = { pullMs: 4, computeMs: 40, pushMs: 5, aggregateMs: 6, stepMs: 60 };
  const loss = 4 - version / 100;
  return { version, loss, learningRate: 1e-3, tokens: 768, ...times, workers: ["worker-0"], ...changes };
}

const steps = Array.from({ length: 100 }, (_, i) => step(i + 1));

const progress: Progress = {
  ...addSteps(beginProgress(record, 0), steps),
  state,
  parameters: 809_856,
  workers: { alive: 1, wanted: 2 },
};

test("a plain line has step, loss, speed and time left, in words that grep finds", () => {
  assert.equal(renderLine(progress), "step 100/2000  loss 3.000  12,800 tok/s  eta 1m54s");
});

test("the block shows the job, its size, its curve, every phase of a step and its workers", () => {
  const evaluation = { version: 50, loss: 2.75 };
  const block = renderBlock({ ...progress, state: { ...state, evaluation } }, 61_000, plainStyle).join("\n");
  for (const part of [
    "tiny  gpt2 1x16, context 16, 810 k parameters",
    "tensorflow 2.18.1 on cpu · adamw · 2 ranks x batch 4, 2 shards",
    "step 100 of 2,000",
    "loss 3.000  ███▇",
    "held out 2.750 at 50",
    "12,800 tokens/s   1 of 2 workers",
    "60.0 ms a step: pull 4.0  compute 40.0  push 5.0  aggregate 6.0  other 5.0",
    "elapsed 1m01s   eta 1m54s",
  ]) {
    assert.ok(block.includes(part), `${part}\nis not in\n${block}`);
  }
});

test("in a narrow window the bar is short and the step beside it whole; one worker is not workers", () => {
  const alone = { ...progress, workers: { alive: 1, wanted: 1 } };
  const lines = (columns: number) => renderBlock(alone, 61_000, plainStyle, columns);
  for (const columns of [50, 70, 200]) {
    const line = lines(columns).find((one) => one.includes("step 100 of 2,000")) ?? "";
    assert.ok(line.length > 30 && line.length < columns, `${columns}: ${line.length}`);
  }
  assert.match(lines(50).join("\n"), /1 of 1 worker$/m);
});

test("a job that makes no step says for how long, unless its steps take as long", () => {
  const at = (seconds: number) => Date.parse(now) + seconds * 1000;
  const text = (seconds: number, shown = progress) => renderBlock(shown, at(seconds), plainStyle).join("\n");
  assert.doesNotMatch(text(9), /no step for/);
  assert.match(text(25), /eta 1m54s {3}no step for 25s$/m);
  const slow = { ...addSteps(beginProgress(record, 0), [step(1, { stepMs: 20_000 })]), state };
  assert.doesNotMatch(text(25, slow), /no step for/);
});

test("before the first step the block says what goes on", () => {
  const starting = { ...beginProgress(record, 0), activity: "first step", workers: { alive: 0, wanted: 2 } };
  assert.match(renderBlock(starting, 500, plainStyle).join("\n"), /first step \.\.\., 0 of 2 workers/);
});

test("a step that waited for a resume does not spoil the rates", () => {
  const waited = addSteps(progress, [step(101, { stepMs: 3_600_000 })]);
  assert.equal(ratesOf(waited.recent)?.stepMs, 60);
  assert.equal(etaOf({ ...waited, state: { ...state, version: 101 } }), 1899 * 60);
});

test("the curve stays evenly spaced, however long the job, and always has its last point", () => {
  let long = beginProgress(record, 0);
  for (let version = 1; version <= 20_000; version++) long = addSteps(long, [step(version)]);
  const versions = long.curve.map((point) => point.version);
  assert.ok(versions.length > 256 && versions.length <= 513, String(versions.length));
  assert.equal(versions.at(-1), 20_000);
  const gaps = new Set(versions.slice(1, -1).map((version, i) => version - (versions[i] ?? 0)));
  assert.deepEqual([...gaps], [64]);
});

test("plain output has a line at once for every evaluation, and step lines only now and then", () => {
  const lines: string[] = [];
  let time = 0;
  const reporter = plainReporter({ write: (text) => lines.push(text.trimEnd()) }, () => time);
  for (let version = 1; version <= 200; version++) {
    time += 50;
    const seen = addSteps(progress, [step(version)]);
    reporter.update({ ...seen, state: { ...state, version } });
    if (version === 150) reporter.event("evaluation at step 150: held-out loss 2.5");
  }
  reporter.close();
  const shown = lines.filter((line) => line.startsWith("step "));
  assert.ok(shown.length >= 4 && shown.length <= 7, lines.join("\n"));
  assert.ok(lines.includes("evaluation at step 150: held-out loss 2.5"));
  assert.match(shown.at(-1) ?? "", /^step 200\/2000 /);
});

test("an evaluation and a checkpoint are events once", () => {
  const evaluation = { version: 1000, loss: 1.9512 };
  const checkpoint = { version: 1000, sha256: "0".repeat(64) };
  const after = { ...state, evaluation, checkpoint };
  assert.deepEqual(eventsBetween(state, after), [
    "evaluation at step 1,000: held-out loss 1.951",
    "checkpoint of step 1,000 written",
  ]);
  assert.deepEqual(eventsBetween(after, after), []);
});

test("an outcome says what happened and the command that goes on", () => {
  const lines = (changes: Partial<State>) => outcomeLines({ ...state, ...changes }, { flags: "" }).join("\n");
  assert.match(
    lines({ status: "stopped" }),
    /^tiny stopped at step 100 of 2,000; resume it with: npx ps-submit resume tiny/,
  );
  assert.match(
    lines({ status: "failed", reason: "NaN in wte" }),
    /tiny failed at step 100 of 2,000: NaN in wte\n/,
  );
  assert.match(lines({ status: "running" }), /interrupted at step 100 of 2,000: .*npx ps-submit resume tiny/);
  assert.match(lines({ status: "succeeded", version: 2000 }), /^tiny succeeded: 2,000 steps, loss 2\.512/);
});

test("steps after the learning rate has reached 0 are remarked upon", () => {
  const schedule = { type: "linear", decaySteps: 50 };
  const { spec } = record;
  const decayed = jobOf({ ...spec, optimizer: { ...tinyJob.optimizer, schedule } }, "job");
  assert.match(notesOnSteps(decayed, 60).join(), /the learning rate is 0 from step 50 on/);
  assert.deepEqual([notesOnSteps(decayed, 50), notesOnSteps(spec, 60)], [[], []]);
});

test("numbers read well at every size", () => {
  assert.deepEqual([0, 9_500, 42_000, 130_000, 3_900_000, 183_600_000].map(duration), [
    ...["0.0s", "9.5s", "42s", "2m10s", "1h05m", "2d03h"],
  ]);
  assert.deepEqual([2.5119, 0.021341, 1.2341e-8, null].map(loss), ["2.512", "0.02134", "1.234e-8", "-"]);
  assert.deepEqual([999, 4_496, 809_856, 10_800_000, 1.5e9].map(short), [
    "999",
    "4.50 k",
    "810 k",
    "10.8 M",
    "1.50 G",
  ]);
  assert.equal(count(12_900.4), "12,900");
});

test("a sparkline spans its values' range, and a bar its width", () => {
  assert.equal(sparkline([1, 2, 3, 4, 5, 6, 7, 8], 8), "▁▂▃▄▅▆▇█");
  assert.equal(sparkline([5, 5, 5], 8), "▁▁▁");
  assert.equal(
    sparkline(
      Array.from({ length: 1000 }, (_, i) => 1000 - i),
      4,
    ),
    "█▆▃▁",
  );
  assert.equal(sparkline([], 8), "");
  assert.deepEqual([bar(0, 4), bar(0.5, 4), bar(1, 4), bar(0.53, 4)], ["░░░░", "██░░", "████", "██▏░"]);
});
