import { Bug } from "../../protocol/errors.ts";
import { at, required } from "../../protocol/required.ts";
import { type Code, F32, I32, V128 } from "../../wasm/encoding.ts";
import { control, f32, f32x4, i32, local, v128 } from "../../wasm/instructions.ts";
import { compileModule, FunctionBuilder, instantiate, type WasmFunction } from "../../wasm/module.ts";

/**
 * Element-wise float32 formulas compiled to WebAssembly SIMD: JavaScript's own arithmetic reaches a tenth of a
 * memory copy, this more than half. A kernel is one formula as two loops, over four elements at a time and over the
 * rest one by one; both round after every operation (no fused multiply-add), so an element's bytes do not depend on
 * which of them did it.
 */
export type Expression =
  | { readonly kind: "input"; readonly index: number }
  | { readonly kind: "constant"; readonly name: string }
  | { readonly kind: "sqrt"; readonly a: Expression }
  | { readonly kind: BinaryOperation; readonly a: Expression; readonly b: Expression };

type BinaryOperation = "add" | "sub" | "mul" | "div";

const binary =
  (kind: BinaryOperation) =>
  (a: Expression, b: Expression): Expression => ({ kind, a, b });

export const add = binary("add");
export const sub = binary("sub");
export const mul = binary("mul");
export const div = binary("div");
export const sqrt = (a: Expression): Expression => ({ kind: "sqrt", a });
export const input = (index: number): Expression => ({ kind: "input", index });
export const constant = (name: string): Expression => ({ kind: "constant", name });

/** The elements of each output vector, from the elements at the same index of the input vectors. */
export type Formula = { readonly inputs: number; readonly outputs: readonly Expression[] };

/**
 * Runs a formula over `count` elements.
 *
 * @param offsets of the inputs, then of the outputs, in bytes from the memory's start; an output may lie on an input
 */
export type Kernel = (
  count: number,
  offsets: readonly number[],
  constants: Readonly<Record<string, number>>,
) => void;

/** @param memory where the kernel finds its vectors */
export function compile(formula: Formula, memory: WebAssembly.Memory): Kernel {
  const names = [...new Set(formula.outputs.flatMap(constantsOf))];
  const loops = [loopOf("wide", formula, names, fourElements), loopOf("narrow", formula, names, oneElement)];
  const module = compileModule([{ name: "memory" }], loops);
  const functionOf = instantiate(module, { memory });
  const [wide, narrow] = [functionOf("wide"), functionOf("narrow")];
  return (count, offsets, constants) => {
    const values = names.map((name) => {
      const value = constants[name];
      if (value === undefined) throw new Bug(`a kernel needs the constant ${name}`);
      return value;
    });
    const end = 4 * count;
    const even = end - (end % 16);
    if (even > 0) wide(0, even, ...offsets, ...values);
    if (even < end) narrow(even, end, ...offsets, ...values);
  };
}

function constantsOf(expression: Expression): string[] {
  if (expression.kind === "input") return [];
  if (expression.kind === "constant") return [expression.name];
  if (expression.kind === "sqrt") return constantsOf(expression.a);
  return [...constantsOf(expression.a), ...constantsOf(expression.b)];
}

/** The elements of a vector that a loop takes at a time, and its instructions. */
type Lanes = {
  readonly bytes: number;
  readonly type: number;
  readonly memory: Pick<typeof f32, "load" | "store">;
  /** From an f32 constant. */
  readonly splat: (constant: Code) => Code;
  readonly arithmetic: Pick<typeof f32, BinaryOperation | "sqrt">;
};

const fourElements: Lanes = {
  bytes: 16,
  type: V128,
  memory: v128,
  splat: f32x4.splat,
  arithmetic: f32x4,
};
const oneElement: Lanes = {
  bytes: 4,
  type: F32,
  memory: f32,
  splat: (constant) => constant,
  arithmetic: f32,
};

/** do { outputs = formula(inputs); position += bytes } while (position < end) */
function loopOf(
  name: string,
  { inputs, outputs }: Formula,
  constants: readonly string[],
  lanes: Lanes,
): WasmFunction {
  const loop = new FunctionBuilder(name);
  const [position, end] = [loop.parameter(I32), loop.parameter(I32)];
  const vectors = Array.from({ length: inputs + outputs.length }, () => loop.parameter(I32));
  const numbers = constants.map(() => loop.parameter(F32));
  const splats = new Map(constants.map((constant) => [constant, loop.local(lanes.type)]));
  const addressOf: AddressOf = (vector) =>
    i32.add(local.get(at(vectors, vector, "vector")), local.get(position));
  const evaluate = evaluator(loop, lanes, addressOf, splats);

  const prepare = [...splats.values()].flatMap((splat, i) =>
    local.set(splat, lanes.splat(local.get(at(numbers, i, "constant")))),
  );
  // All values come before the first store: an output may lie on an input.
  const values = outputs.flatMap((output) => control.drop(evaluate(output)));
  const stores = outputs.flatMap((output, i) => lanes.memory.store(addressOf(inputs + i), evaluate(output)));
  const next = local.tee(position, i32.add(local.get(position), i32.const(lanes.bytes)));
  const body = control.repeat([...values, ...stores], i32.ltU(next, local.get(end)));
  return loop.build([...prepare, ...body]);
}

/** The address of a vector's elements at the loop's position. */
type AddressOf = (vector: number) => Code;

/**
 * Returns a function that leaves an expression's value on the stack; it computes an expression where it first meets it.
 *
 * @param splats locals of the constants by their names
 */
function evaluator(
  loop: FunctionBuilder,
  { type, memory, arithmetic }: Lanes,
  addressOf: AddressOf,
  splats: ReadonlyMap<string, number>,
): (expression: Expression) => Code {
  const results = new Map<Expression, number>();
  const compute = (expression: Exclude<Expression, { kind: "constant" }>): Code => {
    if (expression.kind === "input") return memory.load(addressOf(expression.index));
    if (expression.kind === "sqrt") return arithmetic.sqrt(evaluate(expression.a));
    return arithmetic[expression.kind](evaluate(expression.a), evaluate(expression.b));
  };
  const evaluate = (expression: Expression): Code => {
    if (expression.kind === "constant") {
      return local.get(required(splats.get(expression.name), `constant ${expression.name}`));
    }
    const result = results.get(expression);
    if (result !== undefined) return local.get(result);
    const code = compute(expression);
    const next = loop.local(type);
    results.set(expression, next);
    return local.tee(next, code);
  };
  return evaluate;
}
