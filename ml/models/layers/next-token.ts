import type { Tensor, Tensor1D, Tensor2D } from "@tensorflow/tfjs";
import type { Family, ModelConfig } from "../family.ts";
import type { Tokens } from "../model.ts";
import { type Block, forwardBlocks, throughBlocks } from "./blocks.ts";
import { crossEntropy } from "./cross-entropy.ts";
import { addedGradients, type Backward, mergedGradients, type Pass } from "./layer.ts";
import type { Linear } from "./linear.ts";
import type { Norm } from "./norm.ts";

/** The parts of a model that predicts the next token: embedding, blocks, a norm, and a layer that makes logits. */
export type NextTokenParts<Config> = {
  /** [B T, C] */
  embed(pass: Pass, config: Config, tokens: Tokens): Tensor;
  /** The gradients of the embedding's parameters. */
  embedBackward(pass: Pass, config: Config, dx: Tensor, tokens: Tokens): Record<string, Tensor>;
  blocks(pass: Pass, config: Config, tokens: Tokens): Block[];
  norm(config: Config): Norm;
  /** May share its weight with the embedding. */
  head(config: Config): Linear;
};

/** The computations of a family that predicts the next token. */
export function nextTokenModel<Config extends ModelConfig>(
  parts: NextTokenParts<Config>,
): Pick<Family<Config>, "lossAndGradient" | "loss" | "logits"> {
  const logits = (pass: Pass, config: Config, tokens: Tokens): Tensor => {
    const embedded = parts.embed(pass, config, tokens);
    const x = throughBlocks(pass.ops, parts.blocks(pass, config, tokens), embedded);
    return parts.head(config).forward(pass, parts.norm(config).forward(pass, x).y);
  };
  return {
    logits: (ops, config, theta, tokens) =>
      ops.tf.tidy(() => logits({ ops, theta }, config, tokens) as Tensor2D),

    loss: (ops, config, theta, { tokens, targets }) =>
      ops.tf.tidy(() => crossEntropy(ops, logits({ ops, theta }, config, tokens), targets).loss),

    lossAndGradient: (ops, config, theta, { tokens, targets, dropout }) =>
      ops.tf.tidy(() => {
        const pass = { ops, theta, dropout };
        const embedded = parts.embed(pass, config, tokens);
        const blocks = forwardBlocks(ops, parts.blocks(pass, config, tokens), embedded, {
          recompute: config.recompute ?? false,
          savesInput: false,
        });
        const output = lossBackward(pass, parts.norm(config), parts.head(config), blocks.y, targets);
        blocks.y.dispose();
        const { dx, gradient } = blocks.backward(output.dx);
        const embedding = parts.embedBackward(pass, config, dx, tokens);
        return { loss: output.loss, gradient: addedGradients(ops, [embedding, gradient, output.gradient]) };
      }),
  };
}

/** From the last block's output to the loss, and back. */
function lossBackward(pass: Pass, norm: Norm, head: Linear, x: Tensor, targets: Tensor1D) {
  const { ops } = pass;
  return ops.tf.tidy(() => {
    const { y, saved } = norm.forward(pass, x);
    const { loss, dLogits } = crossEntropy(ops, head.forward(pass, y), targets);
    const outer: Backward = head.backward(pass, dLogits, y);
    const inner: Backward = norm.backward(pass, outer.dx, saved);
    return { loss, dx: inner.dx, gradient: mergedGradients([outer, inner]) };
  });
}
