import type { Tensor, Tensor2D } from "@tensorflow/tfjs";
import { dense } from "../models/dense.ts";
import type { Llama } from "../models/llama.ts";
import { type Tensors, tensorOf } from "../models/model.ts";
import type { Kit } from "../models/ops.ts";
import { rmsNorm } from "../models/rms-norm.ts";
import { type Rotation, rotate, rotationOf } from "../models/rotary.ts";
import { swiglu } from "../models/swiglu.ts";
import { cachedAttention, type Decoder, lastRows, type Step } from "./decoder.ts";

/** Llama token by token; the computation is that of `worker/models/llama.ts`. Keys are kept as they were turned. */
export function llamaDecoder(kit: Kit, model: Llama, theta: Tensors): Decoder {
  const { tf } = kit;
  const of = (name: string) => tensorOf(theta, `${name}.weight`);
  const norm = (name: string, x: Tensor) => rmsNorm(kit, x, of(name), model.epsilon).y;

  function layer(x: Tensor, index: number, step: Step, rotation: Rotation) {
    return tf.tidy(() => {
      const h = `model.layers.${index}`;
      const input = norm(`${h}.input_layernorm`, x);
      const heads = (name: string, count: number) =>
        split(dense(kit, input, of(`${h}.self_attn.${name}`)), count, step);
      const queries = rotate(kit, heads("q_proj", model.heads), rotation);
      const keys = rotate(kit, heads("k_proj", model.keyValueHeads), rotation);
      const grouped = { queries: group(queries), keys, values: heads("v_proj", model.keyValueHeads) };
      const attended = cachedAttention(kit, grouped, index, step);
      const middle = tf.add(x, dense(kit, attended.y, of(`${h}.self_attn.o_proj`)));
      const second = norm(`${h}.post_attention_layernorm`, middle);
      const gated = swiglu(
        kit,
        dense(kit, second, of(`${h}.mlp.gate_proj`)),
        dense(kit, second, of(`${h}.mlp.up_proj`)),
      );
      const output = tf.add(middle, dense(kit, gated, of(`${h}.mlp.down_proj`)));
      return { x: output, keys: attended.keys, values: attended.values };
    });
  }

  /** [B T, H D] -> [B, H, T, D] */
  const split = (x: Tensor, heads: number, { sequences, length }: Step): Tensor =>
    tf.transpose(tf.reshape(x, [sequences, length, heads, model.headWidth]), [0, 2, 1, 3]);

  /** [B, H, T, D] -> [B, K, H / K, T, D] */
  const group = (x: Tensor): Tensor => {
    const [sequences = 0, , length = 0, depth = 0] = x.shape;
    const { heads, keyValueHeads } = model;
    return tf.reshape(x, [sequences, keyValueHeads, heads / keyValueHeads, length, depth]);
  };

  /** The rotation of a step's tokens, [B, 1, T, D]. */
  function rotationFor({ positions, length }: Step): Rotation {
    const options = { headWidth: model.headWidth, theta: model.ropeTheta, scaling: model.ropeScaling };
    const each = positions.map((first) => rotationOf(kit, options, length, { first }));
    const stack = (part: keyof Rotation) =>
      tf.expandDims(tf.stack(each.map((rotation) => rotation[part])), 1);
    return { cosine: stack("cosine"), sine: stack("sine") };
  }

  return {
    step: (step) =>
      tf.tidy(() => {
        const rotation = rotationFor(step);
        let x: Tensor = tf.gather(of("model.embed_tokens"), step.ids);
        const layers: { keys: Tensor; values: Tensor }[] = [];
        for (let index = 0; index < model.layers; index++) {
          const { x: output, ...kept } = layer(x, index, step, rotation);
          x.dispose();
          x = output;
          layers.push(kept);
        }
        const last = norm("model.norm", lastRows(kit, x, step));
        const logits = dense(kit, last, of(model.tied ? "model.embed_tokens" : "lm_head")) as Tensor2D;
        return { logits, cache: { layers, length: (step.cache?.length ?? 0) + step.length } };
      }),
  };
}
