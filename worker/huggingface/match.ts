import type { Parameter } from "../../protocol/layout.ts";
import type { Weights } from "./reader.ts";

/** Which stored tensor is which parameter of a model, and what does not fit. */
export type Match = {
  /** Parameter name -> name in the file. */
  readonly found: ReadonlyMap<string, string>;
  readonly missing: readonly string[];
  /** Of another shape: one line each. */
  readonly wrong: readonly string[];
  /** Neither parameters nor known to be of no use. */
  readonly unknown: readonly string[];
};

/** What files have beside parameters: masks and tables that follow from the config, copies of tied tensors, and heads
 * for other purposes. */
const NOT_PARAMETERS = [
  /(^|\.)attn\.(masked_)?bias$/,
  /(^|\.)rotary_emb\.inv_freq$/,
  /(^|\.)embeddings\.position_ids$/,
  /^lm_head\.weight$/,
  /^cls\.predictions\.decoder\.(weight|bias)$/,
  /^cls\.seq_relationship\.(weight|bias)$/,
  /(^|\.)pooler\.dense\.(weight|bias)$/,
];

/**
 * Finds a model's parameters among stored tensors. As transformers does, it takes the files of a bare model, whose
 * names lack the first word (`h.0.` for `transformer.h.0.`), and TensorFlow's gamma and beta for a norm's weight
 * and bias.
 */
export function matchTensors(parameters: readonly Parameter[], tensors: Weights["tensors"]): Match {
  const found = new Map<string, string>();
  const missing: string[] = [];
  const wrong: string[] = [];
  for (const { name, shape } of parameters) {
    const stored = spellings(name).find((spelling) => tensors.has(spelling));
    const got = stored === undefined ? undefined : tensors.get(stored)?.shape;
    if (stored === undefined || got === undefined) missing.push(name);
    else if (got.join() !== shape.join()) wrong.push(`${name} must have shape [${shape}], got [${got}]`);
    if (stored !== undefined) found.set(name, stored);
  }
  const used = new Set(found.values());
  const unknown = [...tensors.keys()].filter(
    (name) => !used.has(name) && !NOT_PARAMETERS.some((pattern) => pattern.test(name)),
  );
  return { found, missing, wrong, unknown };
}

function spellings(name: string): string[] {
  const bare = name.replace(/^(transformer|model|bert)\./, "");
  const old = (text: string) =>
    text.replace(/LayerNorm\.weight$/, "LayerNorm.gamma").replace(/LayerNorm\.bias$/, "LayerNorm.beta");
  return [...new Set([name, bare, old(name), old(bare)])];
}

/** The faults of a match, a line each; none when every parameter was found and nothing is left over. */
export function faultsOf({ missing, wrong, unknown }: Match): string[] {
  return [
    ...unknown.map((name) => `does not know ${name}`),
    ...missing.map((name) => `needs ${name}`),
    ...wrong.map((line) => `needs another shape: ${line}`),
  ];
}
