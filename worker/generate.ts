import { setImmediate } from "node:timers/promises";
import type { Tensor1D } from "@tensorflow/tfjs";
import { CorruptData, InvalidInput } from "../protocol/errors.ts";
import type { Backend } from "./backend/load.ts";
import { type Checkpoint, loadCheckpoint } from "./checkpoint.ts";
import { gpt2Logits } from "./models/gpt2.ts";
import type { Tensors } from "./models/model.ts";
import { type Kit, kitOf } from "./models/ops.ts";
import { uniform } from "./random/streams.ts";

export type GenerateOptions = {
  /** A checkpoint directory. */
  readonly directory: string;
  readonly backend: Backend;
  /** At least one character, all of them known to the model. */
  readonly prompt: string;
  readonly maxNewTokens: number;
  /** Divides the logits: below 1 bolder, above 1 more varied; 0 always takes the likeliest token. */
  readonly temperature: number;
  /**
   * Draws from the k likeliest tokens only.
   * @default null: from all
   */
  readonly topK?: number | null;
  /** Same seed, same text. */
  readonly seed: number;
  readonly signal?: AbortSignal;
};

/**
 * Continues a prompt, token by token. When the context is full the oldest tokens leave it.
 *
 * @param onText called with each new piece, and waited for
 * @returns the continuation, without the prompt
 * @throws InvalidInput for an option out of range or a prompt with unknown characters, CorruptData for a damaged
 * checkpoint, and the signal's reason when it is aborted
 */
export async function generate(
  options: GenerateOptions,
  onText: (piece: string) => void | Promise<void> = () => {},
): Promise<string> {
  checkOptions(options);
  const { backend, prompt, maxNewTokens, signal } = options;
  const checkpoint = await loadCheckpoint(options.directory);
  const { tokenizer } = checkpoint;
  const tokens = tokenizer.encode(prompt);
  const kit = kitOf(backend.tf);
  const theta = upload(kit, checkpoint);
  let text = "";
  try {
    for (let place = 0; place < maxNewTokens; place++) {
      await setImmediate();
      signal?.throwIfAborted();
      const logits = nextLogits(kit, checkpoint, theta, tokens);
      const token = sampleToken(logits, options, place);
      tokens.push(token);
      const piece = tokenizer.decode([token]);
      text += piece;
      await onText(piece);
    }
  } finally {
    kit.tf.dispose(theta);
  }
  return text;
}

function checkOptions({ prompt, maxNewTokens, temperature, topK }: GenerateOptions): void {
  const problems: string[] = [];
  if (prompt === "") problems.push("prompt must have at least one character");
  if (!Number.isSafeInteger(maxNewTokens) || maxNewTokens < 1) {
    problems.push(`maxNewTokens must be a whole number of at least 1, got ${maxNewTokens}`);
  }
  if (!(temperature >= 0 && temperature < Infinity)) {
    problems.push(`temperature must be at least 0, got ${temperature}`);
  }
  if (topK != null && (!Number.isSafeInteger(topK) || topK < 1)) {
    problems.push(`topK must be a whole number of at least 1, got ${topK}`);
  }
  if (problems.length > 0) throw new InvalidInput(problems);
}

function upload({ tf }: Kit, { parameters }: Checkpoint): Tensors {
  return Object.fromEntries(
    parameters.map(({ name, shape, values }) => [name, tf.tensor(values, [...shape])]),
  );
}

/** The logits of the token that follows `tokens`, as many of which as the context holds. */
function nextLogits(
  kit: Kit,
  { model }: Checkpoint,
  theta: Tensors,
  tokens: readonly number[],
): Float32Array {
  const { tf } = kit;
  const window = tokens.slice(-model.context);
  return tf.tidy(() => {
    const ids: Tensor1D = tf.tensor1d(window, "int32");
    const logits = gpt2Logits(kit, model, theta, { ids, sequences: 1, length: window.length });
    return tf.slice(logits, [window.length - 1, 0]).dataSync<"float32">();
  });
}

/** Draws a token by its probability. `place` numbers the draws of one text. */
export function sampleToken(
  logits: Float32Array,
  { temperature, topK, seed }: Pick<GenerateOptions, "temperature" | "topK" | "seed">,
  place: number,
): number {
  const ranked = [...logits].map((logit, token) => ({ logit, token })).sort((a, b) => b.logit - a.logit);
  const [best] = ranked;
  if (!best || !logits.every(Number.isFinite)) {
    throw new CorruptData(
      "the model predicts numbers that are not finite: its parameters are damaged or diverged",
    );
  }
  if (temperature === 0) return best.token;
  const kept = ranked.slice(0, topK ?? ranked.length);
  const weights = kept.map(({ logit }) => Math.exp((logit - best.logit) / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let left = uniform({ seed, purpose: "sample", indices: [place] }) * total;
  const chosen = kept.find((_, i) => {
    left -= weights[i] ?? 0;
    return left < 0;
  });
  // Rounding may leave a crumb past the last token.
  return (chosen ?? best).token;
}
