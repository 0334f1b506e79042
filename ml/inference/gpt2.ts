import { attention } from "./attention.ts";
import type { Machine, Parameter, Range } from "./machine.ts";
import { layerNorm, normAll, normWanted } from "./norms.ts";
import { overRanges, type Phase, rangesOf } from "./phases.ts";

/** GPT-2's steps; the computation is that of `ml/models/gpt2.ts`, its matrices transposed. */
export function gpt2Phases(machine: Machine): Phase[] {
  const { shape } = machine.plan;
  const layers = Array.from({ length: shape.layers }, (_, layer) => layerPhases(machine, layer)).flat();
  const norm = normOf(machine, "transformer.ln_f");
  const table = machine.parameter(shape.head);
  const head = (range: Range) => {
    const { logits } = machine.buffers;
    machine.begin(logits, range, null, machine.wanted);
    machine.addRows(table, machine.own.normed, logits, range, machine.wanted);
  };
  const prepare = () => normWanted(machine, norm);
  return [...layers, overRanges(rangesOf(machine, table), head, prepare)];
}

const normOf = (machine: Machine, name: string) =>
  layerNorm(
    machine.parameter(`${name}.weight`),
    machine.parameter(`${name}.bias`),
    machine.plan.shape.epsilon,
  );

function layerPhases(machine: Machine, layer: number): Phase[] {
  const { buffers, own } = machine;
  const of = (name: string) => machine.parameter(`transformer.h.${layer}.${name}`);
  const norms = ["ln_1", "ln_2"].map((name) => normOf(machine, `transformer.h.${layer}.${name}`));
  const [first, second] = norms.map((norm) => () => normAll(machine, norm));
  const over = (matrix: Parameter, run: (range: Range) => void, prepare?: () => void) =>
    overRanges(rangesOf(machine, matrix), run, prepare);
  /** `to` = projection of the normed stream. */
  const project = (name: string, to: typeof buffers.qkv) => {
    const [matrix, bias] = [of(`${name}.weight`), of(`${name}.bias`)];
    const run = (range: Range) => {
      machine.begin(to, range, bias);
      machine.addRows(matrix, own.normed, to, range);
    };
    return { matrix, run };
  };
  /** The stream += projection of `from`. */
  const addTo = (name: string, from: typeof buffers.qkv) => {
    const [matrix, bias] = [of(`${name}.weight`), of(`${name}.bias`)];
    return over(matrix, (range) => {
      machine.addBias(buffers.x, range, bias);
      machine.addRows(matrix, from, buffers.x, range);
    });
  };
  const qkv = project("attn.c_attn", buffers.qkv);
  const hidden = project("mlp.c_fc", buffers.hidden);
  const gelu = (range: Range) => {
    hidden.run(range);
    for (let i = 0; i < machine.vectors; i++) {
      const place = buffers.hidden.place + i * buffers.hidden.stride + 4 * range.start;
      hidden.matrix.kernels.gelu(place, 16 * Math.ceil((range.end - range.start) / 4));
    }
  };
  return [
    over(qkv.matrix, qkv.run, first),
    attention(machine, layer),
    addTo("attn.c_proj", buffers.attended),
    over(hidden.matrix, gelu, second),
    addTo("mlp.c_proj", buffers.hidden),
  ];
}
