import type { Tensor } from "@tensorflow/tfjs";
import { type Backward, type Block, mergedGradients } from "./blocks.ts";
import { dense, denseBackward } from "./dense.ts";
import {
  type Groups,
  groupedAttention,
  groupedAttentionBackward,
  joinHeads,
  splitHeads,
} from "./grouped-attention.ts";
import { type Tensors, tensorOf } from "./model.ts";
import type { Ops } from "./ops.ts";
import { type RmsNorm, rmsNorm, rmsNormBackward } from "./rms-norm.ts";
import { type Rotation, rotate, rotateBackward } from "./rotary.ts";
import { swiglu, swigluWithSlopes } from "./swiglu.ts";

/**
 * One transformer block of Llama: x + attention(norm(x)), then x + mlp(norm(x)), from [B T, C] to [B T, C].
 * Forward functions return what their backward functions need as `saved`; what is cheap is computed again.
 */
export type LlamaPlace = {
  readonly ops: Ops;
  readonly theta: Tensors;
  /** Begins the names of the block's parameters, as `model.layers.0`. */
  readonly prefix: string;
  readonly shape: Groups;
  readonly epsilon: number;
  /** Of the queries, with their scale, and of the keys. */
  readonly rotations: { readonly queries: Rotation; readonly keys: Rotation };
  /** Of `causalMask`. */
  readonly mask: Tensor;
};

type Normalized = Omit<RmsNorm, "y">;
type SavedAttention = {
  norm: Normalized;
  q: Tensor;
  k: Tensor;
  v: Tensor;
  attended: Tensor;
};
type SavedMlp = { norm: Normalized; gate: Tensor; up: Tensor };
type SavedLlamaBlock = { attention: SavedAttention; mlp: SavedMlp };

export function llamaBlock(place: LlamaPlace): Block<SavedLlamaBlock> {
  const { tf } = place.ops;
  return {
    forward: (x) =>
      tf.tidy(() => {
        const first = attentionLayer(place, x);
        const second = mlpLayer(place, first.y);
        return { y: second.y, saved: { attention: first.saved, mlp: second.saved } };
      }),
    backward: (dy, saved) =>
      tf.tidy(() => {
        const second = mlpLayerBackward(place, dy, saved.mlp);
        const first = attentionLayerBackward(place, second.dx, saved.attention);
        return { dx: first.dx, gradient: mergedGradients([first, second]) };
      }),
  };
}

function attentionLayer(place: LlamaPlace, x: Tensor) {
  const { ops, shape, rotations } = place;
  return ops.tf.tidy(() => {
    const { y: input, ...norm } = normalize(place, "input_layernorm", x);
    const project = (name: string, heads: number) =>
      splitHeads(ops, dense(ops, input, parameter(place, `self_attn.${name}`)), shape, heads);
    const q = rotate(ops, project("q_proj", shape.heads), rotations.queries);
    const k = rotate(ops, project("k_proj", shape.keyValueHeads), rotations.keys);
    const v = project("v_proj", shape.keyValueHeads);
    const attended = groupedAttention(ops, { q, k, v }, place.mask, shape);
    const y = ops.tf.add(x, dense(ops, attended, parameter(place, "self_attn.o_proj")));
    return { y, saved: { norm, q, k, v, attended } };
  });
}

function attentionLayerBackward(place: LlamaPlace, dy: Tensor, saved: SavedAttention): Backward {
  const { ops, shape, rotations } = place;
  const { tf } = ops;
  return tf.tidy(() => {
    const output = projectBackward(place, "self_attn.o_proj", dy, saved.attended);
    const { dq, dk, dv } = groupedAttentionBackward(ops, output.dx, saved, place.mask, shape);
    const input = normalizedOutput(place, "input_layernorm", saved.norm);
    const parts = [
      projectBackward(
        place,
        "self_attn.q_proj",
        joined(place, rotateBackward(ops, dq, rotations.queries)),
        input,
      ),
      projectBackward(
        place,
        "self_attn.k_proj",
        joined(place, rotateBackward(ops, dk, rotations.keys)),
        input,
      ),
      projectBackward(place, "self_attn.v_proj", joined(place, dv), input),
    ];
    const dInput = tf.addN(parts.map(({ dx }) => dx));
    const norm = normalizeBackward(place, "input_layernorm", dInput, saved.norm);
    return { dx: tf.add(dy, norm.dx), gradient: mergedGradients([output, ...parts, norm]) };
  });
}

const joined = ({ ops, shape }: LlamaPlace, x: Tensor): Tensor => joinHeads(ops, x, shape);

function mlpLayer(place: LlamaPlace, x: Tensor) {
  const { ops } = place;
  return ops.tf.tidy(() => {
    const { y: input, ...norm } = normalize(place, "post_attention_layernorm", x);
    const gate = dense(ops, input, parameter(place, "mlp.gate_proj"));
    const up = dense(ops, input, parameter(place, "mlp.up_proj"));
    const y = ops.tf.add(x, dense(ops, swiglu(ops, gate, up), parameter(place, "mlp.down_proj")));
    return { y, saved: { norm, gate, up } };
  });
}

function mlpLayerBackward(place: LlamaPlace, dy: Tensor, saved: SavedMlp): Backward {
  const { ops } = place;
  return ops.tf.tidy(() => {
    const { tf } = ops;
    const { y: active, byGate, byUp } = swigluWithSlopes(ops, saved.gate, saved.up);
    const output = projectBackward(place, "mlp.down_proj", dy, active);
    const [dGate, dUp] = [tf.mul(output.dx, byGate), tf.mul(output.dx, byUp)];
    const input = normalizedOutput(place, "post_attention_layernorm", saved.norm);
    const gate = projectBackward(place, "mlp.gate_proj", dGate, input);
    const up = projectBackward(place, "mlp.up_proj", dUp, input);
    const dInput = ops.tf.add(gate.dx, up.dx);
    const norm = normalizeBackward(place, "post_attention_layernorm", dInput, saved.norm);
    return { dx: ops.tf.add(dy, norm.dx), gradient: mergedGradients([output, gate, up, norm]) };
  });
}

const parameter = ({ theta, prefix }: LlamaPlace, name: string): Tensor =>
  tensorOf(theta, `${prefix}.${name}.weight`);

function projectBackward(place: LlamaPlace, name: string, dy: Tensor, x: Tensor): Backward {
  const { dx, dWeight } = denseBackward(place.ops, dy, x, parameter(place, name));
  return { dx, gradient: { [`${place.prefix}.${name}.weight`]: dWeight } };
}

const normalize = (place: LlamaPlace, name: string, x: Tensor): RmsNorm =>
  rmsNorm(place.ops, x, parameter(place, name), place.epsilon);

function normalizeBackward(place: LlamaPlace, name: string, dy: Tensor, norm: Normalized): Backward {
  const { dx, dGain } = rmsNormBackward(place.ops, dy, norm, parameter(place, name));
  return { dx, gradient: { [`${place.prefix}.${name}.weight`]: dGain } };
}

/** The output of `normalize` once more. */
const normalizedOutput = (place: LlamaPlace, name: string, { normalized }: Normalized): Tensor =>
  place.ops.tf.mul(normalized, parameter(place, name));
