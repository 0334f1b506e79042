import { attention } from "./attention.ts";
import { normAll, normWanted, rmsNorm } from "./norms.ts";
import { rangeStage, type Stage, splitRows } from "./stages.ts";
import type { Range, Workspace } from "./workspace.ts";

/** Llama's steps; the computation is that of `ml/models/llama.ts`. Keys are kept as they were turned. */
export function llamaStages(workspace: Workspace): Stage[] {
  const { shape, buffers } = { ...workspace.decoder };
  const layers = Array.from({ length: shape.layers }, (_, layer) => layerStages(workspace, layer)).flat();
  const norm = rmsNorm(workspace.parameter("model.norm.weight"), shape.epsilon);
  const table = workspace.parameter(shape.head);
  const head = (range: Range) => {
    workspace.setBias(buffers.logits, range, null, workspace.wanted);
    workspace.addProduct(table, workspace.own.normed, buffers.logits, range, workspace.wanted);
  };
  const prepare = () => normWanted(workspace, norm);
  return [...layers, rangeStage(splitRows(workspace, table), head, prepare)];
}

function layerStages(workspace: Workspace, layer: number): Stage[] {
  const { buffers, own } = workspace;
  const { epsilon } = workspace.decoder.shape;
  const of = (name: string) => workspace.parameter(`model.layers.${layer}.${name}.weight`);
  const normed = (name: string) => {
    const norm = rmsNorm(of(name), epsilon);
    return () => normAll(workspace, norm);
  };
  /** The stream += projection of `from`. */
  const addTo = (name: string, from: typeof buffers.qkv) => {
    const matrix = of(name);
    return rangeStage(splitRows(workspace, matrix), (range) =>
      workspace.addProduct(matrix, from, buffers.x, range),
    );
  };
  const [gate, up] = [of("mlp.gate_proj"), of("mlp.up_proj")];
  const gated = (range: Range) => {
    for (const [matrix, to] of [
      [gate, buffers.hidden],
      [up, buffers.up],
    ] as const) {
      workspace.setBias(to, range, null);
      workspace.addProduct(matrix, own.normed, to, range);
    }
    for (let i = 0; i < workspace.vectors; i++) {
      const offset = buffers.hidden.offset + i * buffers.hidden.stride + 4 * range.start;
      const factor = buffers.up.offset + i * buffers.up.stride + 4 * range.start;
      gate.kernels.swiglu(offset, factor, 16 * Math.ceil((range.end - range.start) / 4));
    }
  };
  return [
    projections(
      workspace,
      ["q_proj", "k_proj", "v_proj"].map((name) => of(`self_attn.${name}`)),
      normed("input_layernorm"),
    ),
    attention(workspace, layer),
    addTo("self_attn.o_proj", buffers.attended),
    rangeStage(splitRows(workspace, gate), gated, normed("post_attention_layernorm")),
    addTo("mlp.down_proj", buffers.hidden),
  ];
}

/** The normed stream times several matrices, whose results lie one after the other. */
function projections(
  workspace: Workspace,
  matrices: ReturnType<Workspace["parameter"]>[],
  prepare: () => void,
): Stage {
  const { qkv } = workspace.buffers;
  let offset = qkv.offset;
  const jobs = matrices.flatMap((matrix) => {
    const to = { offset, stride: qkv.stride };
    offset += 4 * matrix.rows;
    return splitRows(workspace, matrix).map((range) => () => {
      workspace.setBias(to, range, null);
      workspace.addProduct(matrix, workspace.own.normed, to, range);
    });
  });
  return { slices: jobs.length, prepare, run: (slice) => jobs[slice]?.() };
}
