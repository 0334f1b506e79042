import type { Tensor, Tensor2D } from "@tensorflow/tfjs";
import { type Gpt2, LAYER_NORM_EPSILON } from "../models/gpt2.ts";
import { type Tensors, tensorOf } from "../models/model.ts";
import { gelu, type Kit, layerNorm, linear, timesTransposed } from "../models/ops.ts";
import { type Decoder, type Heads, lastRows, type Step } from "./decoder.ts";

/** GPT-2 token by token; the computation is that of `worker/models/gpt2.ts`. */
export function gpt2Decoder(kit: Kit, model: Gpt2, theta: Tensors): Decoder {
  const { tf } = kit;
  const headWidth = model.width / model.heads;
  const of = (name: string) => tensorOf(theta, `transformer.${name}`);
  const norm = (name: string, x: Tensor) =>
    layerNorm(kit, x, of(`${name}.weight`), of(`${name}.bias`), LAYER_NORM_EPSILON).y;
  const project = (name: string, x: Tensor) => linear(kit, x, of(`${name}.weight`), of(`${name}.bias`));

  function layer(x: Tensor, index: number, step: Step): Tensor {
    return tf.tidy(() => {
      const h = `h.${index}`;
      const qkv = project(`${h}.attn.c_attn`, norm(`${h}.ln_1`, x));
      const attended = step.attend(headsOf(qkv, step), index);
      const middle = tf.add(x, project(`${h}.attn.c_proj`, attended));
      const hidden = gelu(kit, project(`${h}.mlp.c_fc`, norm(`${h}.ln_2`, middle)));
      return tf.add(middle, project(`${h}.mlp.c_proj`, hidden));
    });
  }

  /** [B T, 3 C] -> queries [B, H, 1, T, D], keys and values [B, H, T, D]. */
  function headsOf(qkv: Tensor, { sequences, length }: Step): Heads {
    const { heads } = model;
    const split = tf.reshape(qkv, [sequences, length, 3, heads, headWidth]);
    const [queries, keys, values] = tf.unstack(tf.transpose(split, [2, 0, 3, 1, 4]));
    if (!queries || !keys || !values) throw new Error("queries, keys and values must be three");
    return { queries: tf.reshape(queries, [sequences, heads, 1, length, headWidth]), keys, values };
  }

  return {
    layers: model.layers,
    keyHeads: model.heads,
    headWidth,
    theta,
    places(positions, length) {
      const places = positions.flatMap((first) => Array.from({ length }, (_, i) => first + i));
      return [tf.tensor1d(places, "int32")];
    },
    logits: (step) =>
      tf.tidy(() => {
        const [places] = step.places;
        if (!places) throw new Error("a step must have places");
        let x = tf.add(tf.gather(of("wte.weight"), step.ids), tf.gather(of("wpe.weight"), places));
        for (let index = 0; index < model.layers; index++) {
          const input = x;
          x = layer(input, index, step);
          input.dispose();
        }
        const last = norm("ln_f", lastRows(kit, x, step));
        return timesTransposed(kit, last, of("wte.weight")) as Tensor2D;
      }),
  };
}
