import type { Code } from "../../wasm/encoding.ts";
import { asm, Locals, type Routine, routine } from "./assembler.ts";

const { get, set } = asm;
const constant = (value: number): number[] => asm.splat(asm.f32(value));

/** For p from 0 to `bytes`, which is above 0, by 16. */
function each4(p: number, bytes: number, body: Code): number[] {
  const next = [...asm.addI32(get(p), asm.i32(16)), ...asm.tee(p)];
  return [...asm.i32(0), ...set(p), ...asm.repeat([...body, ...next], [...get(bytes), 0x49])];
}

/** 1 / n! for n from 7 to 0: e to the r for small r. */
const TAYLOR = [5040, 720, 120, 24, 6, 2, 1, 1].map((factorial) => 1 / factorial);
/** ln 2 in two parts: the first has so few bits that its multiples are exact. */
const LN2_HIGH = Math.round(Math.LN2 * 512) / 512;
const LN2_LOW = Math.LN2 - LN2_HIGH;
/** What e to the power of still has a normal float for. */
const [LOWEST, HIGHEST] = [-87, 88];

/** e to the x, to about the last bit: 2^n e^r, with x = n ln 2 + r and |r| at most ln 2 / 2. */
function exponential(l: Locals): (x: Code) => number[] {
  const [n, r] = [l.v128(), l.v128()];
  return (x) => {
    const within = asm.min4(asm.max4(x, constant(LOWEST)), constant(HIGHEST));
    const polynomial = TAYLOR.slice(1).reduce(
      (sum: number[], term) => asm.fused4(sum, get(r), constant(term)),
      constant(TAYLOR[0] ?? 0),
    );
    const bias = asm.splatInteger(asm.i32(127));
    const power = asm.shiftLeft4(asm.addInteger4(asm.toInteger4(get(n)), bias), 23);
    return [
      ...[...within, ...asm.tee(r), ...constant(Math.LOG2E), ...asm.mul4([], [])],
      ...[...asm.nearest4([]), ...set(n)],
      ...[...asm.fused4(get(n), constant(-LN2_HIGH), get(r)), ...set(r)],
      ...[...asm.fused4(get(n), constant(-LN2_LOW), get(r)), ...set(r)],
      ...asm.mul4(polynomial, power),
    ];
  };
}

/** GELU in the tanh form of GPT-2: 0.5 (1 + tanh u) = 1 / (1 + e^-2u). Parameters: offset, bytes. */
export function geluRoutine(): Routine {
  const l = new Locals();
  const [offset = 0, bytes = 0] = l.many(2, l.i32);
  const [p, x] = [l.i32(), l.v128()];
  const exp = exponential(l);
  const address = asm.addI32(get(offset), get(p));
  const cubic = asm.fused4(asm.mul4(get(x), get(x)), constant(0.044715), constant(1));
  const exponent = asm.mul4(asm.mul4(get(x), constant(-2 * Math.sqrt(2 / Math.PI))), cubic);
  const value = asm.div4(get(x), asm.add4(constant(1), exp(exponent)));
  const body = [...asm.load4(address), ...set(x), ...asm.store4(address, value)];
  return routine("gelu", l, 2, each4(p, bytes, body));
}

/** gate = silu(gate) up, with silu(x) = x / (1 + e^-x). Parameters: the gate's offset, up's, bytes. */
export function swigluRoutine(): Routine {
  const l = new Locals();
  const [gate = 0, up = 0, bytes = 0] = l.many(3, l.i32);
  const [p, x] = [l.i32(), l.v128()];
  const exp = exponential(l);
  const address = asm.addI32(get(gate), get(p));
  const silu = asm.div4(get(x), asm.add4(constant(1), exp(asm.mul4(get(x), constant(-1)))));
  const value = asm.mul4(silu, asm.load4(asm.addI32(get(up), get(p))));
  const body = [...asm.load4(address), ...set(x), ...asm.store4(address, value)];
  return routine("swiglu", l, 3, each4(p, bytes, body));
}

/** Softmax of what lies at a offset. Parameters: offset, bytes. */
export function softmaxRoutine(): Routine {
  const l = new Locals();
  const [offset = 0, bytes = 0] = l.many(2, l.i32);
  const [p, x, highest, sum] = [l.i32(), l.v128(), l.v128(), l.v128()];
  const exp = exponential(l);
  const address = asm.addI32(get(offset), get(p));
  const across = (of: number, join: (a: Code, b: Code) => number[]) =>
    asm.splat(
      join(
        join(asm.lane(get(of), 0), asm.lane(get(of), 1)),
        join(asm.lane(get(of), 2), asm.lane(get(of), 3)),
      ),
    );
  const body = [
    ...[...asm.load4(get(offset)), ...set(highest)],
    ...each4(p, bytes, [...asm.max4(get(highest), asm.load4(address)), ...set(highest)]),
    ...[...across(highest, asm.max), ...set(highest)],
    ...each4(p, bytes, [
      ...[...exp(asm.sub4(asm.load4(address), get(highest))), ...set(x)],
      ...[...asm.add4(get(sum), get(x)), ...set(sum)],
      ...asm.store4(address, get(x)),
    ]),
    ...[...across(sum, asm.add), ...set(sum)],
    ...each4(p, bytes, asm.store4(address, asm.div4(asm.load4(address), get(sum)))),
  ];
  return routine("softmax", l, 2, body);
}
