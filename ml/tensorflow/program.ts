import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Tensor } from "@tensorflow/tfjs";
import { Bug } from "../../protocol/errors.ts";
import { at } from "../../protocol/required.ts";
import { makeTemporaryFolder } from "../../protocol/temporary-folder.ts";
import type { Tf } from "./backend.ts";
import { GRAPH_TAG, type Node, savedModel } from "./graph-def.ts";
import { recordGraph } from "./recording.ts";
import { nativeKernels } from "./tensorflow.ts";

/** Operations that may run at a time; more made no model faster. */
const SIDE_BY_SIDE = 8;

/**
 * A computation as one TensorFlow graph: TensorFlow runs its kernels one after the other without coming back to
 * JavaScript in between, reuses memory in place and frees each result after its last use.
 */
export type Program = {
  /** Tensors of the shapes and types that it was recorded with; the results are the caller's to dispose. */
  run(inputs: readonly Tensor[]): Tensor[];
  dispose(): void;
};

/** True where computations can be recorded: the native backend on a CPU. On a GPU it has not been measured. */
export function canRecord(tf: Tf): boolean {
  const kernels = nativeKernels(tf);
  return kernels !== undefined && !kernels.isUsingGpuDevice;
}

/**
 * Records `compute`, which must be a function of `inputs` only, by running it once.
 *
 * @throws Bug unless `canRecord`
 * @throws Unrecoverable as `recordGraph`
 */
export function recordProgram(tf: Tf, inputs: readonly Tensor[], compute: () => readonly Tensor[]): Program {
  const kernels = nativeKernels(tf);
  if (!kernels) throw new Bug("only the native backend can record");
  const { nodes, inputs: ports, outputs } = recordGraph(kernels, inputs, compute);
  const placeholders = inputs.map(({ dtype }, i) => ({ name: at(ports, i, "the port of an input"), dtype }));
  // TensorFlow loads graphs from a directory only.
  const directory = makeTemporaryFolder("graph");
  try {
    writeFileSync(join(directory, "saved_model.pb"), savedModel(nearlyInOrder(nodes)));
    const id = kernels.loadSavedModelMetaGraph(directory, GRAPH_TAG);
    return {
      run: (values) => kernels.runSavedModel(id, [...values], placeholders, [...outputs]),
      dispose: () => kernels.deleteSavedModel(id),
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * Lets every operation wait for the one that comes a few before it, so that TensorFlow keeps near the order in which the
 * computation was written: what frees memory first and computes cheap things again in place of keeping them.
 * Without it TensorFlow merges equal operations and runs ahead: measured, a quarter more memory.
 */
function nearlyInOrder(nodes: readonly Node[]): Node[] {
  const names: string[] = [];
  return nodes.map((node) => {
    if (node.op === "Placeholder" || node.op === "Const") return node;
    const before = names.at(-SIDE_BY_SIDE);
    names.push(node.name);
    return before === undefined ? node : { ...node, inputs: [...node.inputs, `^${before}`] };
  });
}
