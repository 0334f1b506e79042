import { InvalidInput } from "../../protocol/errors.ts";
import type { ModelConfig } from "../models/family.ts";
import { type Gpt2, LAYER_NORM_EPSILON } from "../models/gpt2.ts";
import type { Llama } from "../models/llama.ts";
import { rotaryFrequencies } from "../models/rotary.ts";

/** What a decoder needs to know of a model. */
export type DecoderShape = {
  readonly type: "gpt2" | "llama";
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  /** Heads of keys and values; divides `heads`. */
  readonly keyHeads: number;
  readonly headWidth: number;
  /** Width of the layer between. */
  readonly hidden: number;
  readonly vocabulary: number;
  readonly epsilon: number;
  /** The matrix that makes logits. */
  readonly head: string;
  /** Angle per position of each pair of a head's elements; empty: positions are learned. */
  readonly frequencies: Float32Array;
};

/** @throws InvalidInput for a family that does not predict what comes next */
export function decoderShape(type: string, config: ModelConfig): DecoderShape {
  if (type === "gpt2") return gpt2Shape(config as Gpt2);
  if (type === "llama") return llamaShape(config as Llama);
  throw new InvalidInput(`a ${type} model does not say what comes next; gpt2 and llama models generate text`);
}

function gpt2Shape({ layers, width, heads, vocabulary }: Gpt2): DecoderShape {
  return {
    ...{ type: "gpt2", layers, width, heads, vocabulary, keyHeads: heads },
    headWidth: width / heads,
    hidden: 4 * width,
    epsilon: LAYER_NORM_EPSILON,
    head: "transformer.wte.weight",
    frequencies: new Float32Array(),
  };
}

function llamaShape(model: Llama): DecoderShape {
  const { layers, width, heads, keyValueHeads, headWidth, hidden, vocabulary, epsilon } = model;
  return {
    ...{ type: "llama", layers, width, heads, vocabulary, headWidth, hidden, epsilon },
    keyHeads: keyValueHeads,
    head: model.tied ? "model.embed_tokens.weight" : "lm_head.weight",
    frequencies: rotaryFrequencies({ headWidth, theta: model.ropeTheta, scaling: model.ropeScaling }),
  };
}
