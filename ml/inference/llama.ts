import { attention } from "./attention.ts";
import type { Machine, Range } from "./machine.ts";
import { normAll, normWanted, rmsNorm } from "./norms.ts";
import { overRanges, type Phase, rangesOf } from "./phases.ts";

/** Llama's steps; the computation is that of `ml/models/llama.ts`. Keys are kept as they were turned. */
export function llamaPhases(machine: Machine): Phase[] {
  const { shape, buffers } = { ...machine.plan };
  const layers = Array.from({ length: shape.layers }, (_, layer) => layerPhases(machine, layer)).flat();
  const norm = rmsNorm(machine.parameter("model.norm.weight"), shape.epsilon);
  const table = machine.parameter(shape.head);
  const head = (range: Range) => {
    machine.begin(buffers.logits, range, null, machine.wanted);
    machine.addRows(table, machine.own.normed, buffers.logits, range, machine.wanted);
  };
  const prepare = () => normWanted(machine, norm);
  return [...layers, overRanges(rangesOf(machine, table), head, prepare)];
}

function layerPhases(machine: Machine, layer: number): Phase[] {
  const { buffers, own } = machine;
  const { epsilon } = machine.plan.shape;
  const of = (name: string) => machine.parameter(`model.layers.${layer}.${name}.weight`);
  const normed = (name: string) => {
    const norm = rmsNorm(of(name), epsilon);
    return () => normAll(machine, norm);
  };
  /** The stream += projection of `from`. */
  const addTo = (name: string, from: typeof buffers.qkv) => {
    const matrix = of(name);
    return overRanges(rangesOf(machine, matrix), (range) => machine.addRows(matrix, from, buffers.x, range));
  };
  const [gate, up] = [of("mlp.gate_proj"), of("mlp.up_proj")];
  const gated = (range: Range) => {
    for (const [matrix, to] of [
      [gate, buffers.hidden],
      [up, buffers.up],
    ] as const) {
      machine.begin(to, range, null);
      machine.addRows(matrix, own.normed, to, range);
    }
    for (let i = 0; i < machine.vectors; i++) {
      const place = buffers.hidden.place + i * buffers.hidden.stride + 4 * range.start;
      const factor = buffers.up.place + i * buffers.up.stride + 4 * range.start;
      gate.kernels.gated(place, factor, 16 * Math.ceil((range.end - range.start) / 4));
    }
  };
  return [
    projections(
      machine,
      ["q_proj", "k_proj", "v_proj"].map((name) => of(`self_attn.${name}`)),
      normed("input_layernorm"),
    ),
    attention(machine, layer),
    addTo("self_attn.o_proj", buffers.attended),
    overRanges(rangesOf(machine, gate), gated, normed("post_attention_layernorm")),
    addTo("mlp.down_proj", buffers.hidden),
  ];
}

/** The normed stream times several matrices, whose results lie one after the other. */
function projections(
  machine: Machine,
  matrices: ReturnType<Machine["parameter"]>[],
  prepare: () => void,
): Phase {
  const { qkv } = machine.buffers;
  let place = qkv.place;
  const jobs = matrices.flatMap((matrix) => {
    const to = { place, stride: qkv.stride };
    place += 4 * matrix.rows;
    return rangesOf(machine, matrix).map((range) => () => {
      machine.begin(to, range, null);
      machine.addRows(matrix, machine.own.normed, to, range);
    });
  });
  return { chunks: jobs.length, prepare, run: (chunk) => jobs[chunk]?.() };
}
