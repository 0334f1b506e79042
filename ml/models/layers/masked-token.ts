import type { Tensor, Tensor2D, TensorContainer } from "@tensorflow/tfjs";
import type { Family, ModelConfig } from "../family.ts";
import type { Batch, Tokens } from "../model.ts";
import { type Block, forwardBlocks, throughBlocks } from "./blocks.ts";
import { crossEntropy } from "./cross-entropy.ts";
import { lookUpBackward } from "./embedding.ts";
import { addedGradients, type Backward, type Pass } from "./layer.ts";
import { sizeOf } from "./ops.ts";

/** The parts of a model that predicts hidden tokens: embedding, blocks, and a head that makes logits of some rows. */
export type MaskedTokenParts<Config, Embedding, Head extends TensorContainer> = {
  /** [B T, C] */
  embed(pass: Pass, config: Config, tokens: Tokens): { y: Tensor; saved: Embedding };
  /** The gradients of the embedding's parameters. */
  embedBackward(
    pass: Pass,
    config: Config,
    dy: Tensor,
    saved: Embedding,
    tokens: Tokens,
  ): Record<string, Tensor>;
  /** Their `saved` must have their input. */
  blocks(pass: Pass, config: Config, tokens: Tokens): Block[];
  /** From [M, C] to logits [M, V]; may share its weight with the embedding. */
  head(pass: Pass, config: Config, x: Tensor): { logits: Tensor; saved: Head };
  /** @param x the input of `head` */
  headBackward(pass: Pass, config: Config, dLogits: Tensor, saved: Head, x: Tensor): Backward;
};

/** The computations of a family that predicts hidden tokens. */
export function maskedTokenModel<Config extends ModelConfig, Embedding, Head extends TensorContainer>(
  parts: MaskedTokenParts<Config, Embedding, Head>,
): Pick<Family<Config>, "lossAndGradient" | "loss" | "logits"> {
  /** The last block's output, [B T, C]. */
  const encode = (pass: Pass, config: Config, tokens: Tokens): Tensor => {
    const embedded = parts.embed(pass, config, tokens);
    return throughBlocks(pass.ops, parts.blocks(pass, config, tokens), embedded.y);
  };

  /** From the last block's output to the loss of the tokens to predict, and back. */
  const lossBackward = (pass: Pass, config: Config, x: Tensor, { targets, predicted }: Batch) => {
    const { ops } = pass;
    return ops.tf.tidy(() => {
      const rows = predicted ? ops.tf.gather(x, predicted) : x;
      const { logits, saved } = parts.head(pass, config, rows);
      const { loss, dLogits } = crossEntropy(ops, logits, targets);
      const head = parts.headBackward(pass, config, dLogits, saved, rows);
      const dx = predicted ? lookUpBackward(ops, head.dx, predicted, sizeOf(x, 0)) : head.dx;
      return { loss, dx, gradient: head.gradient };
    });
  };

  return {
    logits: (ops, config, theta, tokens) =>
      ops.tf.tidy(() => {
        const pass = { ops, theta };
        return parts.head(pass, config, encode(pass, config, tokens)).logits as Tensor2D;
      }),

    loss: (ops, config, theta, { tokens, targets, predicted }) =>
      ops.tf.tidy(() => {
        const pass = { ops, theta };
        const x = encode(pass, config, tokens);
        const rows = predicted ? ops.tf.gather(x, predicted) : x;
        return crossEntropy(ops, parts.head(pass, config, rows).logits, targets).loss;
      }),

    lossAndGradient: (ops, config, theta, batch) =>
      ops.tf.tidy(() => {
        const { tokens, dropout } = batch;
        const pass = { ops, theta, dropout };
        const embedded = parts.embed(pass, config, tokens);
        const blocks = forwardBlocks(ops, parts.blocks(pass, config, tokens), embedded.y, {
          recompute: config.recompute ?? false,
          savesInput: true,
        });
        const output = lossBackward(pass, config, blocks.y, batch);
        blocks.y.dispose();
        const { dx, gradient } = blocks.backward(output.dx);
        const embedding = parts.embedBackward(pass, config, dx, embedded.saved, tokens);
        return { loss: output.loss, gradient: addedGradients(ops, [embedding, gradient, output.gradient]) };
      }),
  };
}
