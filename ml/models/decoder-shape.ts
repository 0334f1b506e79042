/**
 * A decoder-only transformer as data, for ml/inference to run: sizes, and the names of the parameters by their role.
 * Blocks are x + attention(norm(x)), then x + mlp(norm(x)). Threads get it as a message, so it has no functions.
 */
export type DecoderShape = {
  readonly width: number;
  readonly heads: number;
  /** Heads of keys and values; divides `heads`. */
  readonly keyHeads: number;
  readonly headWidth: number;
  /** Width between the two layers of an MLP. */
  readonly hidden: number;
  readonly vocabulary: number;
  /** The table of token embeddings. */
  readonly tokens: string;
  /** The table of position embeddings; null: positions are rotary. */
  readonly positions: string | null;
  /** Angle per position of each pair of a head's elements; empty: positions are not rotary. */
  readonly frequencies: Float32Array;
  readonly blocks: readonly DecoderBlock[];
  readonly norm: NormParameters;
  /** Makes the logits. */
  readonly head: LinearParameters;
};

export type DecoderBlock = {
  readonly attention: {
    readonly norm: NormParameters;
    /** One layer that makes queries, keys and values, or one for each of them. */
    readonly projections: readonly LinearParameters[];
    readonly output: LinearParameters;
  };
  readonly mlp: { readonly norm: NormParameters; readonly output: LinearParameters } & (
    | { readonly type: "gelu"; readonly input: LinearParameters }
    /** silu(gate) * up */
    | { readonly type: "swiglu"; readonly gate: LinearParameters; readonly up: LinearParameters }
  );
};

/** The names of a linear layer's parameters. */
export type LinearParameters = {
  readonly weight: string;
  readonly bias: string | null;
  /** True for a matrix [inputs, outputs], as GPT-2 has them; false: [outputs, inputs], as PyTorch's `nn.Linear`. */
  readonly inputsFirst: boolean;
};

/** The names of a norm's parameters. With a bias it is LayerNorm, without one RMSNorm. */
export type NormParameters = {
  readonly gain: string;
  readonly bias: string | null;
  readonly epsilon: number;
};

/** All linear layers of a decoder. */
export function linearLayers({ blocks, head }: Pick<DecoderShape, "blocks" | "head">): LinearParameters[] {
  const ofBlocks = blocks.flatMap(({ attention, mlp }) => [
    ...attention.projections,
    attention.output,
    ...(mlp.type === "swiglu" ? [mlp.gate, mlp.up] : [mlp.input]),
    mlp.output,
  ]);
  return [...ofBlocks, head];
}
