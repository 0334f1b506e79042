import type { Tensor, Tensor2D } from "@tensorflow/tfjs";
import { type Gpt2, LAYER_NORM_EPSILON } from "../models/gpt2.ts";
import { type Tensors, tensorOf } from "../models/model.ts";
import { gelu, type Kit, layerNorm, linear, timesTransposed } from "../models/ops.ts";
import { cachedAttention, type Decoder, lastRows, placesOf, type Step } from "./decoder.ts";

/** GPT-2 token by token; the computation is that of `worker/models/gpt2.ts`. */
export function gpt2Decoder(kit: Kit, model: Gpt2, theta: Tensors): Decoder {
  const { tf } = kit;
  const of = (name: string) => tensorOf(theta, `transformer.${name}`);
  const norm = (name: string, x: Tensor) =>
    layerNorm(kit, x, of(`${name}.weight`), of(`${name}.bias`), LAYER_NORM_EPSILON).y;
  const project = (name: string, x: Tensor) => linear(kit, x, of(`${name}.weight`), of(`${name}.bias`));

  function layer(x: Tensor, index: number, step: Step) {
    return tf.tidy(() => {
      const h = `h.${index}`;
      const qkv = project(`${h}.attn.c_attn`, norm(`${h}.ln_1`, x));
      const { y, keys, values } = cachedAttention(kit, headsOf(kit, qkv, model, step), index, step);
      const middle = tf.add(x, project(`${h}.attn.c_proj`, y));
      const hidden = gelu(kit, project(`${h}.mlp.c_fc`, norm(`${h}.ln_2`, middle)));
      return { x: tf.add(middle, project(`${h}.mlp.c_proj`, hidden)), keys, values };
    });
  }

  return {
    step: (step) =>
      tf.tidy(() => {
        const places = tf.tensor1d(placesOf(step), "int32");
        let x = tf.add(tf.gather(of("wte.weight"), step.ids), tf.gather(of("wpe.weight"), places));
        const layers: { keys: Tensor; values: Tensor }[] = [];
        for (let index = 0; index < model.layers; index++) {
          const { x: output, ...kept } = layer(x, index, step);
          x.dispose();
          x = output;
          layers.push(kept);
        }
        const last = norm("ln_f", lastRows(kit, x, step));
        const logits = timesTransposed(kit, last, of("wte.weight")) as Tensor2D;
        return { logits, cache: { layers, length: (step.cache?.length ?? 0) + step.length } };
      }),
  };
}

/** [B T, 3 C] -> queries [B, H, 1, T, D], keys and values [B, H, T, D]. */
function headsOf({ tf }: Kit, qkv: Tensor, { heads }: Gpt2, { sequences, length }: Step) {
  const depth = (qkv.shape.at(-1) ?? 0) / 3 / heads;
  const parts = tf.transpose(tf.reshape(qkv, [sequences, length, 3, heads, depth]), [2, 0, 3, 1, 4]);
  const [queries, keys, values] = tf.unstack(parts);
  if (!queries || !keys || !values) throw new Error("queries, keys and values must be three");
  return { queries: tf.reshape(queries, [sequences, heads, 1, length, depth]), keys, values };
}
