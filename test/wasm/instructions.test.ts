import assert from "node:assert/strict";
import { test } from "node:test";
import { type Code, V128 } from "../../wasm/encoding.ts";
import {
  control,
  f32,
  f32x4,
  i8x16,
  i16x8,
  i32,
  i32x4,
  i64x2,
  local,
  v128,
} from "../../wasm/instructions.ts";
import { compileModule, FunctionBuilder, instantiate } from "../../wasm/module.ts";

/** Runs code on the vectors at 0 and 16; gives the 16 bytes that it makes of them. */
function run(code: (a: Code, b: Code) => Code, ...inputs: readonly ArrayBufferView[]): ArrayBuffer {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const bytes = new Uint8Array(memory.buffer);
  for (const [i, { buffer, byteOffset, byteLength }] of inputs.entries()) {
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), 16 * i);
  }
  const builder = new FunctionBuilder("run");
  const [a, b] = [builder.local(V128), builder.local(V128)];
  const body = [
    ...local.set(a, v128.load(i32.const(0))),
    ...local.set(b, v128.load(i32.const(0), { offset: 16 })),
    ...v128.store(i32.const(32), code(local.get(a), local.get(b))),
  ];
  instantiate(compileModule([{ name: "memory" }], [builder.build(body)]), { memory })("run")();
  return memory.buffer.slice(32, 48);
}

const f32s = (...values: number[]) => Float32Array.from(values);
const f32Of = (code: (a: Code, b: Code) => Code, a: Float32Array, b: Float32Array): number[] => [
  ...new Float32Array(run(code, a, b)),
];
const i32Of = (code: (a: Code, b: Code) => Code, a: Int32Array, b: Int32Array): number[] => [
  ...new Int32Array(run(code, a, b)),
];
const a = f32s(1.5, -2.25, 1e30, 0.1);
const b = f32s(0.3, -7, 2, 1e-20);
const each = (of: (x: number, y: number) => number): number[] =>
  Array.from(a, (x, i) => Math.fround(of(x, b[i] ?? Number.NaN)));

test("arithmetic on four floats rounds as on one", () => {
  assert.deepEqual(
    f32Of(f32x4.add, a, b),
    each((x, y) => x + y),
  );
  assert.deepEqual(
    f32Of(f32x4.sub, a, b),
    each((x, y) => x - y),
  );
  assert.deepEqual(
    f32Of(f32x4.mul, a, b),
    each((x, y) => x * y),
  );
  assert.deepEqual(
    f32Of(f32x4.div, a, b),
    each((x, y) => x / y),
  );
  assert.deepEqual(f32Of(f32x4.min, a, b), each(Math.min));
  assert.deepEqual(f32Of(f32x4.max, a, b), each(Math.max));
  const absolute = a.map(Math.abs);
  assert.deepEqual(
    f32Of((x) => f32x4.sqrt(x), absolute, b),
    [...absolute.map(Math.sqrt)],
  );
  assert.deepEqual(
    f32Of((x) => f32x4.nearest(x), f32s(0.5, 1.5, -1.2, 7), b),
    [0, 2, -1, 7],
  );
  assert.deepEqual(
    f32Of((x, y) => f32x4.relaxedMadd(x, y, x), f32s(1, 2, 3, 4), f32s(5, 6, 7, 8)),
    [6, 14, 24, 36],
  );
});

test("arithmetic on one float is that of four", () => {
  const lane = (x: Code) => f32x4.extractLane(x, 1);
  for (const name of ["add", "sub", "mul", "div", "max"] as const) {
    const one = f32Of((x, y) => f32x4.splat(f32[name](lane(x), lane(y))), a, b);
    assert.deepEqual(one, Array<unknown>(4).fill(f32Of(f32x4[name], a, b)[1]), name);
  }
  const two = f32Of(() => f32x4.splat(f32.sqrt(f32.const(4))), a, b);
  assert.deepEqual(two, [2, 2, 2, 2]);
});

test("loads and stores take an address and an offset", () => {
  const code = () => [
    ...f32.store(i32.const(100), f32.load(i32.const(4)), { offset: 200 }),
    ...f32x4.splat(f32.load(i32.const(50), { offset: 250 })),
  ];
  assert.deepEqual(f32Of(code, f32s(1, 2, 3, 4), b), [2, 2, 2, 2]);
});

test("arithmetic on integers wraps, and compares without a sign", () => {
  const splat = (code: Code) => i32Of(() => i32x4.splat(code), Int32Array.of(), Int32Array.of())[0];
  assert.equal(splat(i32.add(i32.const(2 ** 31 - 1), i32.const(1))), -(2 ** 31));
  assert.equal(splat(i32.sub(i32.const(3), i32.const(5))), -2);
  assert.equal(splat(i32.mul(i32.const(-3), i32.const(5))), -15);
  assert.equal(splat(i32.and(i32.const(45), i32.const(-32))), 32);
  assert.equal(splat(i32.ltU(i32.const(1), i32.const(-1))), 1);
  const [x, y] = [Int32Array.of(1, -1, 2 ** 31 - 1, 7), Int32Array.of(1, 1, 1, 1)];
  assert.deepEqual(i32Of(i32x4.add, x, y), [2, 0, -(2 ** 31), 8]);
  assert.deepEqual(
    i32Of((v) => i32x4.shl(v, 23), x, y),
    [1 << 23, -1 << 23, -(2 ** 23), 7 << 23],
  );
  assert.deepEqual(i32Of(v128.and, x, y), [1, 1, 1, 1]);
  assert.deepEqual(i32Of(v128.xor, x, y), [0, -2, 2 ** 31 - 2, 6]);
  assert.deepEqual(
    i32Of(() => v128.const([1, 2 ** 32 - 1, 3, 4]), x, y),
    [1, -1, 3, 4],
  );
});

test("floats become integers, the large ones the largest", () => {
  const code = (x: Code) => i32x4.truncSatF32x4S(x);
  const floats = f32s(1.9, -1.9, 1e20, Number.NaN);
  assert.deepEqual([...new Int32Array(run(code, floats, b))], [1, -1, 2 ** 31 - 1, 0]);
});

test("products of 32 bits have 64, of the lower lanes and of the upper ones", () => {
  const [x, y] = [Uint32Array.of(2 ** 32 - 1, 2, 3, 0xd2511f53), Uint32Array.of(2 ** 32 - 1, 5, 7, 2 ** 31)];
  const products = Array.from(x, (value, i) => BigInt(value) * BigInt(y[i] ?? 0));
  assert.deepEqual([...new BigUint64Array(run(i64x2.extmulLowI32x4U, x, y))], products.slice(0, 2));
  assert.deepEqual([...new BigUint64Array(run(i64x2.extmulHighI32x4U, x, y))], products.slice(2));
});

test("comparisons of 16 bits without a sign are narrowed to 8, and bytes are shuffled", () => {
  const limit = (x: Code) => i16x8.leU(x, i16x8.splat(i32.const(40_000)));
  const [x, y] = [Uint16Array.of(0, 40_000, 40_001, 65_535, 1, 2, 3, 4), new Uint16Array(8).fill(50_000)];
  const narrowed = run((v, w) => i8x16.narrowI16x8S(limit(v), limit(w)), x, y);
  assert.deepEqual([...new Int8Array(narrowed)], [-1, -1, 0, 0, -1, -1, -1, -1, ...Array(8).fill(0)]);
  const bytes = Uint8Array.from({ length: 16 }, (_, i) => i);
  const order = [31, 0, 16, ...Array<number>(13).fill(5)];
  const shuffled = run(
    (v, w) => i8x16.shuffle(v, w, order),
    bytes,
    bytes.map((byte) => 100 + byte),
  );
  assert.deepEqual([...new Uint8Array(shuffled)], [115, 0, 100, ...Array(13).fill(5)]);
});

test("code runs while its condition holds, once at least", () => {
  const sum = new FunctionBuilder("sum");
  const memory = new WebAssembly.Memory({ initial: 1 });
  const [n, total] = [sum.parameter(0x7f), sum.local(0x7f)];
  const left = local.tee(n, i32.sub(local.get(n), i32.const(1)));
  const loop = control.repeat(local.set(total, i32.add(local.get(total), local.get(n))), left);
  const isSmall = i32.ltU(local.get(total), i32.const(100));
  const body = [
    ...loop,
    ...control.when(isSmall, v128.store(i32.const(0), i32x4.splat(local.get(total)))),
    ...control.drop(local.get(total)),
  ];
  const run = instantiate(compileModule([{ name: "memory" }], [sum.build(body)]), { memory })("sum");
  run(4);
  assert.equal(new Int32Array(memory.buffer)[0], 10);
  run(100);
  assert.equal(new Int32Array(memory.buffer)[0], 10);
});
