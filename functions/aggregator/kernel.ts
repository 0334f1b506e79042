import { F32, get, I32, leb, list, PREAMBLE, section, set, simd, text, V128 } from "../../wasm/encoding.ts";

/**
 * Element-wise float32 formulas compiled to WebAssembly SIMD: JavaScript's own arithmetic reaches a tenth of a
 * memory copy, this more than half. A kernel is one formula as two loops, over four elements at a time and over the
 * rest one by one; both round after every operation (no fused multiply-add), so an element's bytes do not depend on
 * which of them did it. Encoding: https://webassembly.github.io/spec/core/binary/index.html
 */
export type Expression =
  | { readonly kind: "input"; readonly index: number }
  | { readonly kind: "constant"; readonly name: string }
  | { readonly kind: "operation"; readonly name: Operation; readonly operands: readonly Expression[] };

type Operation = "add" | "sub" | "mul" | "div" | "sqrt";

const operation =
  (name: Operation) =>
  (...operands: readonly Expression[]): Expression => ({ kind: "operation", name, operands });

type Binary = (a: Expression, b: Expression) => Expression;
export const add: Binary = operation("add");
export const sub: Binary = operation("sub");
export const mul: Binary = operation("mul");
export const div: Binary = operation("div");
export const sqrt: (a: Expression) => Expression = operation("sqrt");
export const input = (index: number): Expression => ({ kind: "input", index });
export const constant = (name: string): Expression => ({ kind: "constant", name });

/** What each output vector's elements are, of the elements at the same index of the input vectors. */
export type Formula = { readonly inputs: number; readonly outputs: readonly Expression[] };

/**
 * Runs a formula over `count` elements.
 *
 * @param places of the inputs, then of the outputs, in bytes from the memory's start; an output may lie on an input
 */
export type Kernel = (
  count: number,
  places: readonly number[],
  constants: Readonly<Record<string, number>>,
) => void;

/** @param memory where the kernel finds its vectors */
export function compile(formula: Formula, memory: WebAssembly.Memory): Kernel {
  const names = [...new Set(formula.outputs.flatMap(constantsOf))];
  const module = new WebAssembly.Module(Uint8Array.from(encode(formula, names)));
  const { wide, narrow } = new WebAssembly.Instance(module, { "": { memory } }).exports;
  if (typeof wide !== "function" || typeof narrow !== "function") throw new TypeError("this is not a kernel");
  return (count, places, constants) => {
    const values = names.map((name) => constants[name]);
    if (values.includes(undefined)) throw new TypeError(`a kernel needs ${names}`);
    const end = 4 * count;
    const even = end - (end % 16);
    if (even > 0) wide(0, even, ...places, ...values);
    if (even < end) narrow(even, end, ...places, ...values);
  };
}

/** A module with one memory, imported, and two functions of one type, exported. */
function encode(formula: Formula, constants: readonly string[]): number[] {
  const { inputs, outputs } = formula;
  const parameters = [...Array(2 + inputs + outputs.length).fill([I32]), ...constants.map(() => [F32])];
  return [
    ...PREAMBLE,
    ...section(1, [[0x60, ...list(parameters), 0]]),
    ...section(2, [[...text(""), ...text("memory"), 2, 0, 0]]),
    ...section(3, [[0], [0]]),
    ...section(7, [
      [...text("wide"), 0, 0],
      [...text("narrow"), 0, 1],
    ]),
    ...section(10, [loop(formula, constants, wideCode), loop(formula, constants, narrowCode)]),
  ];
}

function constantsOf(expression: Expression): string[] {
  if (expression.kind === "input") return [];
  return expression.kind === "constant" ? [expression.name] : expression.operands.flatMap(constantsOf);
}

type Code = {
  /** Type of a value, in bytes and as encoded. */
  readonly bytes: number;
  readonly type: number;
  readonly load: readonly number[];
  readonly store: readonly number[];
  /** From an f32 constant to a value. */
  readonly spread: readonly number[];
  readonly operations: Readonly<Record<Operation, readonly number[]>>;
};

const wideCode: Code = {
  bytes: 16,
  type: V128,
  load: simd(0),
  store: simd(11),
  spread: simd(19),
  operations: { add: simd(228), sub: simd(229), mul: simd(230), div: simd(231), sqrt: simd(227) },
};

const narrowCode: Code = {
  bytes: 4,
  type: F32,
  load: [0x2a],
  store: [0x38],
  spread: [],
  operations: { add: [0x92], sub: [0x93], mul: [0x94], div: [0x95], sqrt: [0x91] },
};

/** do { outputs = formula(inputs); at += bytes } while (at < end), `at` and `end` being the first two parameters. */
function loop({ inputs, outputs }: Formula, constants: readonly string[], code: Code): number[] {
  const firstConstant = 2 + inputs + outputs.length;
  const firstLocal = firstConstant + constants.length;
  const locals = new Map<Expression, number>();
  const address = (place: number) => [...get(2 + place), ...get(0), 0x6a];
  /** Leaves the expression's value on the stack; computes it where it is first met. */
  const value = (expression: Expression): number[] => {
    if (expression.kind === "constant") return get(firstLocal + constants.indexOf(expression.name));
    const known = locals.get(expression);
    if (known !== undefined) return get(known);
    const computed =
      expression.kind === "input"
        ? [...address(expression.index), ...code.load, ...ALIGNED]
        : [...expression.operands.flatMap(value), ...code.operations[expression.name]];
    const local = firstLocal + constants.length + locals.size;
    locals.set(expression, local);
    return [...computed, 0x22, ...leb(local)];
  };
  const spread = constants.flatMap((_, i) => [
    ...get(firstConstant + i),
    ...code.spread,
    ...set(firstLocal + i),
  ]);
  // All values come before the first store: an output may lie on an input.
  const values = outputs.flatMap((output) => [...value(output), 0x1a]);
  const stores = outputs.flatMap((output, i) => [
    ...[...address(inputs + i), ...value(output), ...code.store, ...ALIGNED],
  ]);
  const next = [...get(0), 0x41, code.bytes, 0x6a, 0x22, 0, ...get(1), 0x49, 0x0d, 0];
  const body = [...spread, 0x03, 0x40, ...values, ...stores, ...next, 0x0b, 0x0b];
  const declared = [1, ...leb(constants.length + locals.size), code.type];
  return [...leb(declared.length + body.length), ...declared, ...body];
}

/** Loads and stores are at multiples of 2^2 bytes, without a further offset. */
const ALIGNED = [2, 0];
