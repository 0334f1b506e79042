import type { DecoderBlock, LinearParameters, NormParameters } from "../models/decoder-shape.ts";
import { attention } from "./attention.ts";
import { layerNorm, type Norm, normAll, normWanted, rmsNorm } from "./norms.ts";
import type { SharedDecoder } from "./shared-decoder.ts";
import { rangeStage, type Stage, splitRows } from "./stages.ts";
import { type Parameter, type Range, Workspace } from "./workspace.ts";

/** All stages of a step as a thread computes them; the last one makes the logits. */
export type StepProgram = { readonly workspace: Workspace; readonly stages: readonly Stage[] };

/** A decoder's steps as one thread computes them. Keys are kept as they were rotated. */
export function createStepProgram(decoder: SharedDecoder, thread: number): StepProgram {
  const workspace = new Workspace(decoder, thread);
  const blocks = decoder.shape.blocks.flatMap((block, layer) => [
    ...attentionStages(workspace, block, layer),
    ...mlpStages(workspace, block),
  ]);
  return { workspace, stages: [...blocks, logitsStage(workspace)] };
}

type Vectors = Workspace["buffers"]["x"];

/** A linear layer as a thread sees it. */
type Linear = { readonly matrix: Parameter; readonly bias: Parameter | null };

const linearOf = (workspace: Workspace, { weight, bias }: LinearParameters): Linear => ({
  matrix: workspace.parameter(weight),
  bias: bias === null ? null : workspace.parameter(bias),
});

function normOf(workspace: Workspace, { gain, bias, epsilon }: NormParameters): Norm {
  if (bias === null) return rmsNorm(workspace.parameter(gain), epsilon);
  return layerNorm(workspace.parameter(gain), workspace.parameter(bias), epsilon);
}

/** Prepares a stage whose layers read the normed stream. */
function normed(workspace: Workspace, parameters: NormParameters): () => void {
  const norm = normOf(workspace, parameters);
  return () => normAll(workspace, norm);
}

function attentionStages(workspace: Workspace, block: DecoderBlock, layer: number): Stage[] {
  const { norm, projections, output } = block.attention;
  return [
    projectionsStage(workspace, projections, normed(workspace, norm)),
    attention(workspace, layer),
    addStage(workspace, output, workspace.buffers.attended),
  ];
}

function mlpStages(workspace: Workspace, { mlp }: DecoderBlock): Stage[] {
  const hidden =
    mlp.type === "swiglu" ? gatedRows(workspace, mlp.gate, mlp.up) : geluRows(workspace, mlp.input);
  return [
    rangeStage(splitRows(workspace, hidden.matrix), hidden.run, normed(workspace, mlp.norm)),
    addStage(workspace, mlp.output, workspace.buffers.hidden),
  ];
}

/** The normed stream times several matrices, whose results lie one after the other. */
function projectionsStage(
  workspace: Workspace,
  projections: readonly LinearParameters[],
  prepare: () => void,
): Stage {
  const { qkv } = workspace.buffers;
  let offset = qkv.offset;
  const slices = projections.flatMap((parameters) => {
    const layer = linearOf(workspace, parameters);
    const to = { offset, stride: qkv.stride };
    offset += 4 * layer.matrix.rows;
    return splitRows(workspace, layer.matrix).map((range) => () => project(workspace, layer, to, range));
  });
  return { slices: slices.length, prepare, run: (slice) => slices[slice]?.() };
}

/** `to` = the layer of the normed stream, for rows of its matrix. */
function project(workspace: Workspace, { matrix, bias }: Linear, to: Vectors, range: Range): void {
  workspace.setBias(to, range, bias);
  workspace.addProduct(matrix, workspace.own.normed, to, range);
}

/** The stream += the layer of `from`. */
function addStage(workspace: Workspace, parameters: LinearParameters, from: Vectors): Stage {
  const { matrix, bias } = linearOf(workspace, parameters);
  const { x } = workspace.buffers;
  return rangeStage(splitRows(workspace, matrix), (range) => {
    if (bias) workspace.addBias(x, range, bias);
    workspace.addProduct(matrix, from, x, range);
  });
}

/** hidden = gelu(the layer of the normed stream). */
function geluRows(workspace: Workspace, parameters: LinearParameters) {
  const { hidden } = workspace.buffers;
  const layer = linearOf(workspace, parameters);
  const { matrix } = layer;
  const run = (range: Range) => {
    project(workspace, layer, hidden, range);
    for (let i = 0; i < workspace.vectors; i++) {
      matrix.kernels.gelu(rowOf(hidden, i, range), bytesOf(range));
    }
  };
  return { matrix, run };
}

/** hidden = silu(gate of the normed stream) * up of the normed stream. */
function gatedRows(workspace: Workspace, gateParameters: LinearParameters, upParameters: LinearParameters) {
  const { hidden, up: factors } = workspace.buffers;
  const [gate, up] = [linearOf(workspace, gateParameters), linearOf(workspace, upParameters)];
  const { matrix } = gate;
  const run = (range: Range) => {
    project(workspace, gate, hidden, range);
    project(workspace, up, factors, range);
    for (let i = 0; i < workspace.vectors; i++) {
      matrix.kernels.swiglu(rowOf(hidden, i, range), rowOf(factors, i, range), bytesOf(range));
    }
  };
  return { matrix, run };
}

/** Where a range of the i-th vector begins, in bytes. */
const rowOf = ({ offset, stride }: Vectors, i: number, { start }: Range): number =>
  offset + i * stride + 4 * start;

/** The bytes of a range, in whole vectors of four. */
const bytesOf = ({ start, end }: Range): number => 16 * Math.ceil((end - start) / 4);

function logitsStage(workspace: Workspace): Stage {
  const { shape } = workspace.decoder;
  const { logits } = workspace.buffers;
  const { matrix, bias } = linearOf(workspace, shape.head);
  const norm = normOf(workspace, shape.norm);
  const run = (range: Range) => {
    workspace.setBias(logits, range, bias, workspace.wanted);
    workspace.addProduct(matrix, workspace.own.normed, logits, range, workspace.wanted);
  };
  return rangeStage(splitRows(workspace, matrix), run, () => normWanted(workspace, norm));
}
