import type { OptimizerSpec } from "../../protocol/optimizer-spec.ts";

/**
 * PyTorch's optimizers written down from their documentation, one element at a time in float64: the pseudocode of
 * torch.optim.SGD, Adam and AdamW, with a constant learning rate.
 */
export function reference(
  optimizer: OptimizerSpec,
  parameters: ArrayLike<number>,
  gradients: readonly (readonly number[])[],
  decays: readonly boolean[],
): { parameters: number[]; slots: number[][] } {
  const results = Array.from(parameters, (start, i) => {
    const along = gradients.map((gradient) => gradient[i] ?? Number.NaN);
    const lambda = decays[i] ? optimizer.weightDecay : 0;
    return optimizer.type === "adam" || optimizer.type === "adamw"
      ? adam(optimizer, start, along, lambda)
      : sgd(optimizer, start, along, lambda);
  });
  const slots = Array.from({ length: results[0]?.slots.length ?? 0 }, (_, s) =>
    results.map(({ slots }) => slots[s] ?? 0),
  );
  return { parameters: results.map(({ theta }) => theta), slots };
}

type Result = { theta: number; slots: number[] };

function sgd(optimizer: OptimizerSpec, start: number, gradients: readonly number[], lambda: number): Result {
  const mu = "momentum" in optimizer ? optimizer.momentum : 0;
  let theta = start;
  let b = 0;
  for (const [t, gradient] of gradients.entries()) {
    let g = gradient + lambda * theta;
    if (mu !== 0) {
      b = t > 0 ? mu * b + g : g;
      g = optimizer.type === "nesterov" ? g + mu * b : b;
    }
    theta -= optimizer.learningRate * g;
  }
  return { theta, slots: mu === 0 ? [] : [b] };
}

type Adam = Extract<OptimizerSpec, { type: "adam" | "adamw" }>;

function adam(optimizer: Adam, start: number, gradients: readonly number[], lambda: number): Result {
  const { learningRate, beta1, beta2, epsilon, type } = optimizer;
  let theta = start;
  let m = 0;
  let v = 0;
  for (const [i, gradient] of gradients.entries()) {
    const t = i + 1;
    const g = type === "adam" ? gradient + lambda * theta : gradient;
    if (type === "adamw") theta -= learningRate * lambda * theta;
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g ** 2;
    const mHat = m / (1 - beta1 ** t);
    const vHat = v / (1 - beta2 ** t);
    theta -= (learningRate * mHat) / (Math.sqrt(vHat) + epsilon);
  }
  return { theta, slots: [m, v] };
}
