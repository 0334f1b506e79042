import { attention } from "./attention.ts";
import { layerNorm, normAll, normWanted } from "./norms.ts";
import { rangeStage, type Stage, splitRows } from "./stages.ts";
import type { Parameter, Range, Workspace } from "./workspace.ts";

/** GPT-2's steps; the computation is that of `ml/models/gpt2.ts`, its matrices transposed. */
export function gpt2Stages(workspace: Workspace): Stage[] {
  const { shape } = workspace.decoder;
  const layers = Array.from({ length: shape.layers }, (_, layer) => layerStages(workspace, layer)).flat();
  const norm = normOf(workspace, "transformer.ln_f");
  const table = workspace.parameter(shape.head);
  const head = (range: Range) => {
    const { logits } = workspace.buffers;
    workspace.setBias(logits, range, null, workspace.wanted);
    workspace.addProduct(table, workspace.own.normed, logits, range, workspace.wanted);
  };
  const prepare = () => normWanted(workspace, norm);
  return [...layers, rangeStage(splitRows(workspace, table), head, prepare)];
}

const normOf = (workspace: Workspace, name: string) =>
  layerNorm(
    workspace.parameter(`${name}.weight`),
    workspace.parameter(`${name}.bias`),
    workspace.decoder.shape.epsilon,
  );

function layerStages(workspace: Workspace, layer: number): Stage[] {
  const { buffers, own } = workspace;
  const of = (name: string) => workspace.parameter(`transformer.h.${layer}.${name}`);
  const norms = ["ln_1", "ln_2"].map((name) => normOf(workspace, `transformer.h.${layer}.${name}`));
  const [first, second] = norms.map((norm) => () => normAll(workspace, norm));
  const over = (matrix: Parameter, run: (range: Range) => void, prepare?: () => void) =>
    rangeStage(splitRows(workspace, matrix), run, prepare);
  /** `to` = projection of the normed stream. */
  const project = (name: string, to: typeof buffers.qkv) => {
    const [matrix, bias] = [of(`${name}.weight`), of(`${name}.bias`)];
    const run = (range: Range) => {
      workspace.setBias(to, range, bias);
      workspace.addProduct(matrix, own.normed, to, range);
    };
    return { matrix, run };
  };
  /** The stream += projection of `from`. */
  const addTo = (name: string, from: typeof buffers.qkv) => {
    const [matrix, bias] = [of(`${name}.weight`), of(`${name}.bias`)];
    return over(matrix, (range) => {
      workspace.addBias(buffers.x, range, bias);
      workspace.addProduct(matrix, from, buffers.x, range);
    });
  };
  const qkv = project("attn.c_attn", buffers.qkv);
  const hidden = project("mlp.c_fc", buffers.hidden);
  const gelu = (range: Range) => {
    hidden.run(range);
    for (let i = 0; i < workspace.vectors; i++) {
      const offset = buffers.hidden.offset + i * buffers.hidden.stride + 4 * range.start;
      hidden.matrix.kernels.gelu(offset, 16 * Math.ceil((range.end - range.start) / 4));
    }
  };
  return [
    over(qkv.matrix, qkv.run, first),
    attention(workspace, layer),
    addTo("attn.c_proj", buffers.attended),
    over(hidden.matrix, gelu, second),
    addTo("mlp.c_proj", buffers.hidden),
  ];
}
