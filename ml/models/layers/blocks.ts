import type { Tensor, TensorContainer } from "@tensorflow/tfjs";
import type { Backward } from "./layer.ts";
import type { Ops } from "./ops.ts";

/** A transformer block, from [B T, C] to [B T, C]. Both functions make only the tensors that they return. */
export type Block<Saved extends TensorContainer = TensorContainer> = {
  /** `saved` is what the backward pass needs; the input may be part of it. */
  forward(x: Tensor): { y: Tensor; saved: Saved };
  backward(dy: Tensor, saved: Saved): Backward;
};

export type BlockOptions = {
  /** Keep only each block's input for the backward pass, and run the block once more there. */
  readonly recompute: boolean;
  /** True when the blocks' `saved` has their input: otherwise it is not kept. */
  readonly savesInput: boolean;
};

/** The output of blocks, one after the other; disposes `x`. */
export function throughBlocks({ tf }: Ops, blocks: readonly Block[], x: Tensor): Tensor {
  return blocks.reduce((input, block) => {
    const y = tf.tidy(() => block.forward(input).y);
    input.dispose();
    return y;
  }, x);
}

/**
 * Runs blocks on `x`, one after the other, and keeps what their backward pass needs; `x` becomes part of that.
 * The backward pass, which may be taken once, disposes `dy` and all that was kept, each block's as soon as it is used.
 */
export function forwardBlocks(
  { tf }: Ops,
  blocks: readonly Block[],
  x: Tensor,
  { recompute, savesInput }: BlockOptions,
): { y: Tensor; backward(dy: Tensor): Backward } {
  const backwards: ((dy: Tensor) => Backward)[] = [];
  let output = x;
  for (const block of blocks) {
    const input = output;
    const again = () => tf.tidy(() => block.forward(input).saved);
    const { y, saved: kept } = recompute
      ? { y: tf.tidy(() => block.forward(input).y), saved: null }
      : block.forward(input);
    output = y;
    if (!recompute && !savesInput) input.dispose();
    backwards.push((dy) => {
      const saved = kept ?? again();
      const backward = block.backward(dy, saved);
      tf.dispose([dy, saved, input]);
      return backward;
    });
  }
  return { y: output, backward: (dy) => backwardBlocks(backwards, dy) };
}

function backwardBlocks(backwards: readonly ((dy: Tensor) => Backward)[], dy: Tensor): Backward {
  let dx = dy;
  let gradient: Record<string, Tensor> = {};
  for (const backward of backwards.toReversed()) {
    const result = backward(dx);
    dx = result.dx;
    gradient = { ...gradient, ...result.gradient };
  }
  return { dx, gradient };
}
