import { fileURLToPath } from "node:url";
import { z } from "zod";
import { fillBits } from "../ml/random/bits.ts";
import { threadEnvironment } from "../ml/tensorflow/tensorflow.ts";
import { at, required } from "../protocol/required.ts";
import { LineProcess } from "./support/line-process.ts";
import { load, machine, median } from "./support/report.ts";

/**
 * Compares gradient steps of every family with PyTorch on the same cores: the same sizes and loss, a process each, taking
 * turns. GPT-2 is compared with a model of PyTorch's own modules, Llama and BERT with those of transformers. PS_PYTHON
 * names a Python with torch and transformers (default: python3); without them only our side is measured. The limit is the
 * speed of matrix products alone, measured between the steps.
 *
 * Usage: node bench/model.ts [gpt2|llama|bert|large|small|tiny ...]
 */
type Size = { layers: number; heads: number; width: number; context: number; batch: number };
/** The asked figures, as multiples of PyTorch's tokens/s and peak memory. */
type Ask = { speed: number; memory?: number };
/** `steps` are those of one turn. */
type Case = Size & { steps: number; asks: Record<Family, Ask> };
type Family = (typeof FAMILIES)[number];

const THREADS = 2;
const VOCABULARY = 65;
const TURNS = 6;
const FAMILIES = ["gpt2", "llama", "bert"] as const;
const AT_LEAST_AS_FAST = { llama: { speed: 1 }, bert: { speed: 1 } };

const CASES: Record<string, Case> = {
  large: {
    layers: 6,
    heads: 6,
    width: 384,
    context: 256,
    batch: 16,
    steps: 1,
    asks: { gpt2: { speed: 1.4, memory: 1.1 }, ...AT_LEAST_AS_FAST },
  },
  small: {
    layers: 6,
    heads: 6,
    width: 384,
    context: 256,
    batch: 4,
    steps: 3,
    asks: { gpt2: { speed: 1.25, memory: 1 }, ...AT_LEAST_AS_FAST },
  },
  tiny: {
    layers: 4,
    heads: 4,
    width: 128,
    context: 64,
    batch: 12,
    steps: 20,
    asks: { gpt2: { speed: 0.8 }, ...AT_LEAST_AS_FAST },
  },
};

/** An answer of a side: `ready` once, then one for each line, and `peakMb` at the end. */
const sideAnswer = z.object({
  ready: z.string().optional(),
  ms: z.array(z.number()).optional(),
  matmul: z.number().optional(),
  peakMb: z.number().optional(),
});

type Side = {
  title: string;
  process: LineProcess<z.infer<typeof sideAnswer>>;
  ms: number[];
  speed: number;
  peakMb: number;
};

console.log(`${machine()}, ${THREADS} threads each`);
const wanted = process.argv.slice(2);
const chosen = (name: string, others: readonly string[]) =>
  wanted.includes(name) || !others.some((other) => wanted.includes(other));
const sizes = Object.entries(CASES).filter(([name]) => chosen(name, Object.keys(CASES)));
for (const family of FAMILIES.filter((name) => chosen(name, FAMILIES))) {
  for (const [name, size] of sizes) await compare(family, name, size);
}
measureDropout();

async function compare(family: Family, name: string, { steps, asks, ...size }: Case): Promise<void> {
  const { layers, heads, width, context, batch } = size;
  console.log(
    `\n${family}, ${name}: ${layers} layers x ${heads} heads x ${width} wide x ${context} tokens, batch ${batch}`,
  );
  const hidden = hiddenOf(family, width);
  const numbers = [layers, heads, width, hidden, context, VOCABULARY, batch, THREADS];
  const sides = await startSides([family, ...numbers.map(String)]);
  const ours = at(sides, 0, "our side");
  const loadAtStart = load();
  let limit = 0;
  for (let turn = 0; turn < TURNS; turn++) {
    for (const side of sides) side.ms.push(...required((await side.process.ask(String(steps))).ms, "ms"));
    limit = Math.max(limit, required((await ours.process.ask("matmul")).matmul, "matmul"));
  }
  const tokens = batch * context;
  for (const side of sides) {
    side.speed = (tokens * 1000) / median(side.ms);
    side.process.end();
    side.peakMb = required((await side.process.answer())?.peakMb, "peakMb");
    const share = (flopsPerToken(family, size) * side.speed) / limit;
    const figures = [
      `${side.speed.toFixed(0)} tokens/s`,
      `${side.peakMb.toFixed(0)} MB`,
      `${(100 * share).toFixed(0)}% of the limit`,
    ];
    console.log(`  ${side.title.padEnd(28)} ${figures.join(", ")}`);
  }
  console.log(
    `  limit: matrix products alone ${(limit / 1e9).toFixed(0)} GFLOP/s; load average ${loadAtStart.toFixed(1)} at the start`,
  );
  const [, again, torch] = sides;
  if (again) printRecompute(ours, again);
  if (torch) printRatios(ours, torch, asks[family]);
}

/** The width of the feed-forward layer in a job that names none. */
function hiddenOf(family: Family, width: number): number {
  return family === "llama" ? Math.ceil((8 * width) / 3 / 256) * 256 : 4 * width;
}

/** Measures dropout's masks, which the worker draws itself, without TensorFlow. */
function measureDropout(): void {
  const bits = new Uint8Array(1 << 22);
  const draw = (step: number) => fillBits(bits, 58_982, { seed: 1, purpose: "dropout", indices: [step] });
  draw(0);
  const ns = Array.from({ length: 9 }, (_, step) => {
    const start = performance.now();
    draw(step);
    return ((performance.now() - start) * 1e6) / bits.length;
  });
  console.log(`\ndropout: ${median(ns).toFixed(2)} ns for each element of a mask`);
}

/** Starts ours, ours with recomputation, and PyTorch if it is there, and lets each make its graph and take its memory. */
async function startSides(sizes: readonly string[]): Promise<Side[]> {
  const script = fileURLToPath(new URL("support/gradient-side.ts", import.meta.url));
  const python = fileURLToPath(new URL("python/gradient.py", import.meta.url));
  const commands = [
    { title: "ours", command: process.execPath, args: [script, ...sizes] },
    { title: "ours, recompute", command: process.execPath, args: [script, ...sizes, "recompute"] },
    { title: "PyTorch", command: process.env.PS_PYTHON || "python3", args: [python, ...sizes] },
  ];
  const env = { ...process.env, ...threadEnvironment(THREADS) };
  const sides: Side[] = [];
  for (const { title, command, args } of commands) {
    const child = new LineProcess(command, args, env, sideAnswer);
    const ready = await child.answer();
    if (ready?.ready) {
      sides.push({ title: `${title} ${ready.ready}`, process: child, ms: [], speed: 0, peakMb: 0 });
      await child.ask("2");
    } else
      console.log(
        `  ${title} is missing: PS_PYTHON must name a Python that has torch and transformers (pip install torch transformers)`,
      );
  }
  return sides;
}

function printRecompute(ours: Side, again: Side): void {
  const slower = (100 * (ours.speed / again.speed - 1)).toFixed(0);
  const saved = ours.peakMb - again.peakMb;
  const share = ((100 * saved) / ours.peakMb).toFixed(0);
  console.log(`  recompute: ${slower}% more time, ${saved.toFixed(0)} MB (${share}%) less memory`);
}

function printRatios(ours: Side, torch: Side, ask: Ask): void {
  const speed = ours.speed / torch.speed;
  const memory = ours.peakMb / torch.peakMb;
  const asked = ask.memory === undefined ? "" : ` (asked: at most ${ask.memory})`;
  console.log(
    `  ratio to PyTorch: speed ${speed.toFixed(2)} (asked: at least ${ask.speed}), memory ${memory.toFixed(2)}${asked}`,
  );
}

/** Counts multiplications and additions of the matrix products, forward and (twice as many) backward, attention unmasked. */
function flopsPerToken(family: Family, { layers, width, context }: Size): number {
  const hidden = hiddenOf(family, width);
  const block = 4 * width ** 2 + (family === "llama" ? 3 : 2) * hidden * width + 2 * context * width;
  return 3 * 2 * (layers * block + VOCABULARY * width);
}
