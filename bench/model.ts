import { cpus, loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { median } from "./support/report.ts";
import { Side } from "./support/side.ts";

/**
 * Gradient steps of GPT-2 against PyTorch on the same cores: the same sizes and loss, a process each, taking turns.
 * PS_PYTHON names a Python with torch (default: python3); without torch only our side is measured. The limit is what
 * the processor does in matrix products alone, measured between the steps.
 *
 * Usage: node bench/model.ts [large|small|tiny ...]
 */
type Size = { layers: number; heads: number; width: number; context: number; batch: number };
/** What is asked of us, as multiples of PyTorch's tokens/s and peak memory. */
type Ask = { speed: number; memory?: number };
/** Steps of one turn. */
type Case = Size & { steps: number; ask: Ask };

const THREADS = 2;
const VOCABULARY = 65;
const TURNS = 6;

const CASES: Record<string, Case> = {
  large: {
    layers: 6,
    heads: 6,
    width: 384,
    context: 256,
    batch: 16,
    steps: 1,
    ask: { speed: 1.4, memory: 1.1 },
  },
  small: {
    layers: 6,
    heads: 6,
    width: 384,
    context: 256,
    batch: 4,
    steps: 3,
    ask: { speed: 1.25, memory: 1 },
  },
  tiny: { layers: 4, heads: 4, width: 128, context: 64, batch: 12, steps: 20, ask: { speed: 0.8 } },
};

console.log(`${cpus()[0]?.model}, ${cpus().length} cores, ${THREADS} threads each, Node ${process.version}`);
const wanted = process.argv.slice(2);
for (const [name, size] of Object.entries(CASES)) {
  if (wanted.length === 0 || wanted.includes(name)) await compare(name, size);
}

async function compare(name: string, { steps, ask, ...size }: Case): Promise<void> {
  const { layers, heads, width, context, batch } = size;
  console.log(
    `\n${name}: ${layers} layers x ${heads} heads x ${width} wide x ${context} tokens, batch ${batch}`,
  );
  const sides = await startSides([layers, heads, width, context, VOCABULARY, batch, THREADS].map(String));
  const load = loadavg()[0] ?? 0;
  let limit = 0;
  for (let turn = 0; turn < TURNS; turn++) {
    for (const side of sides) side.ms.push(...((await side.process.ask(String(steps))).ms ?? []));
    limit = Math.max(limit, (await sides[0]?.process.ask("matmul"))?.matmul ?? 0);
  }
  const tokens = batch * context;
  for (const side of sides) {
    side.speed = (tokens * 1000) / median(side.ms);
    side.peakMb = await side.process.end();
    const share = (flopsPerToken(size) * side.speed) / limit;
    const figures = [
      `${side.speed.toFixed(0)} tokens/s`,
      `${side.peakMb.toFixed(0)} MB`,
      `${(100 * share).toFixed(0)}% of the limit`,
    ];
    console.log(`  ${side.title.padEnd(24)} ${figures.join(", ")}`);
  }
  console.log(
    `  limit: matrix products alone ${(limit / 1e9).toFixed(0)} GFLOP/s; load average ${load.toFixed(1)} at the start`,
  );
  const [ours, , torch] = sides;
  if (ours && torch) printRatios(ours, torch, ask);
}

type Measured = { title: string; process: Side; ms: number[]; speed: number; peakMb: number };

/** Ours, ours with recomputation, and PyTorch if it is there; graphs made and memory taken. */
async function startSides(sizes: readonly string[]): Promise<Measured[]> {
  const side = fileURLToPath(new URL("support/gradient-side.ts", import.meta.url));
  const python = fileURLToPath(new URL("python/gradient.py", import.meta.url));
  const commands = [
    { title: "ours", command: [process.execPath, side, ...sizes] },
    { title: "ours, recompute", command: [process.execPath, side, ...sizes, "recompute"] },
    { title: "PyTorch", command: [process.env.PS_PYTHON ?? "python3", python, ...sizes] },
  ];
  const sides: Measured[] = [];
  for (const { title, command } of commands) {
    const child = new Side(command, THREADS);
    const ready = await child.answer();
    if (ready?.ready)
      sides.push({ title: `${title} ${ready.ready}`, process: child, ms: [], speed: 0, peakMb: 0 });
    else
      console.log(`  ${title} is missing: PS_PYTHON must name a Python that has torch (pip install torch)`);
    if (ready?.ready) await child.ask("2");
  }
  return sides;
}

function printRatios(ours: Measured, torch: Measured, ask: Ask): void {
  const speed = ours.speed / torch.speed;
  const memory = ours.peakMb / torch.peakMb;
  const asked = ask.memory === undefined ? "" : ` (asked: at most ${ask.memory})`;
  console.log(
    `  ratio to PyTorch: speed ${speed.toFixed(2)} (asked: at least ${ask.speed}), memory ${memory.toFixed(2)}${asked}`,
  );
}

/** Multiplications and additions of the matrix products, forward and (twice as many) backward, attention unmasked. */
function flopsPerToken({ layers, width, context }: Size): number {
  return 3 * 2 * (layers * (12 * width ** 2 + 2 * context * width) + VOCABULARY * width);
}
