import { InvalidInput } from "./errors.ts";
import type { Parameter } from "./layout.ts";

/** Which parameters train, and which stay as they start. */
export type Division<P extends Parameter> = { readonly trained: readonly P[]; readonly frozen: readonly P[] };

/**
 * Divides a model's parameters by the job's `freeze` patterns. A pattern matches a parameter's name from its start
 * or from any dot on, to its end; `*` stands for any characters, `?` for one: so `wte.*` is `transformer.wte.weight`.
 *
 * @throws InvalidInput when a pattern matches nothing, or all is frozen
 */
export function divide<P extends Parameter>(
  parameters: readonly P[],
  patterns: readonly string[],
): Division<P> {
  const tests = patterns.map((pattern) => ({ pattern, test: regExpOf(pattern) }));
  const names = parameters.map(({ name }) => name);
  const idle = tests.filter(({ test }) => !names.some((name) => test.test(name)));
  if (idle.length > 0) {
    const some = `${names.slice(0, 6).join(", ")}${names.length > 6 ? `, ... (${names.length} in all)` : ""}`;
    throw new InvalidInput(
      idle.map(
        ({ pattern }) => `freeze: "${pattern}" must match a parameter of the model, which has ${some}`,
      ),
    );
  }
  const isFrozen = ({ name }: P) => tests.some(({ test }) => test.test(name));
  const trained = parameters.filter((parameter) => !isFrozen(parameter));
  if (trained.length > 0) return { trained, frozen: parameters.filter(isFrozen) };
  throw new InvalidInput(`freeze must leave a parameter to train, got all ${names.length} frozen`);
}

function regExpOf(pattern: string): RegExp {
  const parts = pattern.split(/([*?])/).map((part) => {
    if (part === "*") return ".*";
    return part === "?" ? "." : part.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
  });
  return new RegExp(`(?:^|\\.)${parts.join("")}$`, "s");
}
