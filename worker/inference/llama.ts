import type { Tensor, Tensor2D } from "@tensorflow/tfjs";
import { dense } from "../models/dense.ts";
import type { Llama } from "../models/llama.ts";
import { type Tensors, tensorOf } from "../models/model.ts";
import type { Kit } from "../models/ops.ts";
import { rmsNorm } from "../models/rms-norm.ts";
import { type Rotation, rotate, rotationOf } from "../models/rotary.ts";
import { swiglu } from "../models/swiglu.ts";
import { type Decoder, lastRows, type Step } from "./decoder.ts";

/** Llama token by token; the computation is that of `worker/models/llama.ts`. Keys are kept as they were turned. */
export function llamaDecoder(kit: Kit, model: Llama, theta: Tensors): Decoder {
  const { tf } = kit;
  const { heads, keyValueHeads, headWidth } = model;
  const of = (name: string) => tensorOf(theta, `${name}.weight`);
  const norm = (name: string, x: Tensor) => rmsNorm(kit, x, of(name), model.epsilon).y;

  function layer(x: Tensor, index: number, step: Step): Tensor {
    return tf.tidy(() => {
      const h = `model.layers.${index}`;
      const project = (name: string, input: Tensor) => dense(kit, input, of(`${h}.${name}`));
      const attended = step.attend(headsOf(norm(`${h}.input_layernorm`, x), h, step), index);
      const middle = tf.add(x, project("self_attn.o_proj", attended));
      const input = norm(`${h}.post_attention_layernorm`, middle);
      const gated = swiglu(kit, project("mlp.gate_proj", input), project("mlp.up_proj", input));
      return tf.add(middle, project("mlp.down_proj", gated));
    });
  }

  function headsOf(x: Tensor, h: string, { sequences, length, places }: Step) {
    const project = (name: string, count: number) => {
      const y = tf.reshape(dense(kit, x, of(`${h}.self_attn.${name}`)), [
        sequences,
        length,
        count,
        headWidth,
      ]);
      return tf.transpose(y, [0, 2, 1, 3]);
    };
    const [cosine, sine] = places;
    if (!cosine || !sine) throw new Error("a step must have places");
    const rotation: Rotation = { cosine, sine };
    const queries = rotate(kit, project("q_proj", heads), rotation);
    return {
      queries: tf.reshape(queries, [sequences, keyValueHeads, heads / keyValueHeads, length, headWidth]),
      keys: rotate(kit, project("k_proj", keyValueHeads), rotation),
      values: project("v_proj", keyValueHeads),
    };
  }

  return {
    layers: model.layers,
    keyHeads: keyValueHeads,
    headWidth,
    theta,
    /** The rotation of a step's tokens: cosine and sine, [B, 1, T, D] each. */
    places: (positions, length) =>
      tf.tidy(() => {
        const options = { headWidth, theta: model.ropeTheta, scaling: model.ropeScaling };
        const each = positions.map((first) => rotationOf(kit, options, length, { first }));
        return [
          tf.expandDims(tf.stack(each.map(({ cosine }) => cosine)), 1),
          tf.expandDims(tf.stack(each.map(({ sine }) => sine)), 1),
        ];
      }),
    logits: (step) =>
      tf.tidy(() => {
        let x: Tensor = tf.gather(of("model.embed_tokens"), step.ids);
        for (let index = 0; index < model.layers; index++) {
          const input = x;
          x = layer(input, index, step);
          input.dispose();
        }
        const last = norm("model.norm", lastRows(kit, x, step));
        return dense(kit, last, of(model.tied ? "model.embed_tokens" : "lm_head")) as Tensor2D;
      }),
  };
}
