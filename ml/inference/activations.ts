import { type Code, I32, V128 } from "../../wasm/encoding.ts";
import { control, f32, f32x4, i32, i32x4, local, v128 } from "../../wasm/instructions.ts";
import { FunctionBuilder, type WasmFunction } from "../../wasm/module.ts";

const constant = (value: number): number[] => f32x4.splat(f32.const(value));

/** for (position = 0; position < bytes; position += 16) body; `bytes` is above 0. */
function each4(position: number, bytes: number, body: Code): number[] {
  const next = local.tee(position, i32.add(local.get(position), i32.const(16)));
  return [...local.set(position, i32.const(0)), ...control.repeat(body, i32.ltU(next, local.get(bytes)))];
}

/** 1 / n! for n from 6 to 0: the Taylor polynomial of e to the r, after its first term. */
const TAYLOR = [720, 120, 24, 6, 2, 1, 1].map((factorial) => 1 / factorial);
const FIRST_TERM = 1 / 5040;
/** ln 2 in two parts: the first has so few bits that its multiples are exact. */
const LN2_HIGH = Math.round(Math.LN2 * 512) / 512;
const LN2_LOW = Math.LN2 - LN2_HIGH;
/** The exponents for which e to their power is a normal float. */
const [MIN_EXPONENT, MAX_EXPONENT] = [-87, 88];

/** e to the x, to about the last bit: 2^n e^r, with x = n ln 2 + r and |r| at most ln 2 / 2. */
function exponential(code: FunctionBuilder): (x: Code) => number[] {
  const [n, r] = [code.local(V128), code.local(V128)];
  return (x) => {
    const within = f32x4.min(f32x4.max(x, constant(MIN_EXPONENT)), constant(MAX_EXPONENT));
    const multiple = f32x4.nearest(f32x4.mul(local.tee(r, within), constant(Math.LOG2E)));
    const polynomial = TAYLOR.reduce(
      (sum: Code, term) => f32x4.relaxedMadd(sum, local.get(r), constant(term)),
      constant(FIRST_TERM),
    );
    const bias = i32x4.splat(i32.const(127));
    const power = i32x4.shl(i32x4.add(i32x4.truncSatF32x4S(local.get(n)), bias), 23);
    return [
      ...local.set(n, multiple),
      ...local.set(r, f32x4.relaxedMadd(local.get(n), constant(-LN2_HIGH), local.get(r))),
      ...local.set(r, f32x4.relaxedMadd(local.get(n), constant(-LN2_LOW), local.get(r))),
      ...f32x4.mul(polynomial, power),
    ];
  };
}

/** GELU in the tanh form of GPT-2: 0.5 (1 + tanh u) = 1 / (1 + e^-2u). Parameters: offset, bytes. */
export function geluFunction(): WasmFunction {
  const gelu = new FunctionBuilder("gelu");
  const [offset, bytes] = [gelu.parameter(I32), gelu.parameter(I32)];
  const [position, x] = [gelu.local(I32), gelu.local(V128)];
  const exp = exponential(gelu);
  const address = i32.add(local.get(offset), local.get(position));
  const square = f32x4.mul(local.get(x), local.get(x));
  const cubic = f32x4.relaxedMadd(square, constant(0.044715), constant(1));
  const exponent = f32x4.mul(f32x4.mul(local.get(x), constant(-2 * Math.sqrt(2 / Math.PI))), cubic);
  const value = f32x4.div(local.get(x), f32x4.add(constant(1), exp(exponent)));
  return gelu.build(
    each4(position, bytes, [...local.set(x, v128.load(address)), ...v128.store(address, value)]),
  );
}

/** gate = silu(gate) up, with silu(x) = x / (1 + e^-x). Parameters: offsets of the gate and of up, bytes. */
export function swigluFunction(): WasmFunction {
  const swiglu = new FunctionBuilder("swiglu");
  const [gate, up, bytes] = [swiglu.parameter(I32), swiglu.parameter(I32), swiglu.parameter(I32)];
  const [position, x] = [swiglu.local(I32), swiglu.local(V128)];
  const exp = exponential(swiglu);
  const address = i32.add(local.get(gate), local.get(position));
  const negative = f32x4.mul(local.get(x), constant(-1));
  const silu = f32x4.div(local.get(x), f32x4.add(constant(1), exp(negative)));
  const value = f32x4.mul(silu, v128.load(i32.add(local.get(up), local.get(position))));
  return swiglu.build(
    each4(position, bytes, [...local.set(x, v128.load(address)), ...v128.store(address, value)]),
  );
}

/** Softmax of a vector, in place. Parameters: offset, bytes. */
export function softmaxFunction(): WasmFunction {
  const softmax = new FunctionBuilder("softmax");
  const [offset, bytes] = [softmax.parameter(I32), softmax.parameter(I32)];
  const [position, x] = [softmax.local(I32), softmax.local(V128)];
  const [highest, sum] = [softmax.local(V128), softmax.local(V128)];
  const exp = exponential(softmax);
  const address = i32.add(local.get(offset), local.get(position));
  const across = (vector: number, join: (a: Code, b: Code) => Code) => {
    const lane = (i: number) => f32x4.extractLane(local.get(vector), i);
    return local.set(vector, f32x4.splat(join(join(lane(0), lane(1)), join(lane(2), lane(3)))));
  };
  return softmax.build([
    ...local.set(highest, v128.load(local.get(offset))),
    ...each4(position, bytes, local.set(highest, f32x4.max(local.get(highest), v128.load(address)))),
    ...across(highest, f32.max),
    ...each4(position, bytes, [
      ...local.set(x, exp(f32x4.sub(v128.load(address), local.get(highest)))),
      ...local.set(sum, f32x4.add(local.get(sum), local.get(x))),
      ...v128.store(address, local.get(x)),
    ]),
    ...across(sum, f32.add),
    ...each4(position, bytes, v128.store(address, f32x4.div(v128.load(address), local.get(sum)))),
  ]);
}
