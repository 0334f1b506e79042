import assert from "node:assert/strict";
import { test } from "node:test";
import { F32, I32, V128 } from "../../wasm/encoding.ts";
import { control, f32, i32, local, v128 } from "../../wasm/instructions.ts";
import { compileModule, FunctionBuilder, instantiate } from "../../wasm/module.ts";

/** Stores `value` in `count` floats from `start` on. */
function fillFunction() {
  const fill = new FunctionBuilder("fill");
  const [start, count, value] = [fill.parameter(I32), fill.parameter(I32), fill.parameter(F32)];
  const position = fill.local(I32);
  const isLeft = i32.ltU(local.get(position), local.get(count));
  const address = i32.add(local.get(start), i32.mul(local.get(position), i32.const(4)));
  const pass = [
    ...f32.store(address, local.get(value)),
    ...local.set(position, i32.add(local.get(position), i32.const(1))),
  ];
  return fill.build(control.when(isLeft, control.repeat(pass, isLeft)));
}

/** Copies 16 bytes of the second memory to `offset` bytes after `to` of the first. */
function copyFunction(offset: number) {
  const copy = new FunctionBuilder("copy");
  const [from, to] = [copy.parameter(I32), copy.parameter(I32)];
  const value = copy.local(V128);
  return copy.build([
    ...local.set(value, v128.load(local.get(from), { memory: 1 })),
    ...v128.store(local.get(to), local.get(value), { offset }),
  ]);
}

test("a module exports functions of several types, which loop and branch", () => {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const floats = new Float32Array(memory.buffer);
  const module = compileModule(
    [{ name: "memory" }],
    [fillFunction(), new FunctionBuilder("nothing").build([])],
  );
  const functionOf = instantiate(module, { memory });
  functionOf("nothing")();
  assert.ok(floats.every((value) => value === 0));
  const fill = functionOf("fill");
  fill(4, 0, 7);
  assert.ok(floats.every((value) => value === 0));
  fill(4, 200, 0.1);
  assert.deepEqual(
    [floats[0], floats[1], floats[200], floats[201]],
    [0, Math.fround(0.1), Math.fround(0.1), 0],
  );
});

test("a module takes several memories, which threads may share", () => {
  const shared = () => new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const [target, source] = [shared(), shared()];
  new Float32Array(source.buffer).set([1, 2, 3, 4, 5], 25);
  const memories = [
    { name: "target", shared: true },
    { name: "source", shared: true },
  ];
  const module = compileModule(memories, [copyFunction(1000)]);
  instantiate(module, { target, source })("copy")(100, 4);
  assert.deepEqual([...new Float32Array(target.buffer).subarray(250, 257)], [0, 1, 2, 3, 4, 0, 0]);
  assert.ok(new Float32Array(target.buffer, 0, 250).every((value) => value === 0));
});

test("a memory that is not shared does not fit a module that wants a shared one", () => {
  const module = compileModule([{ name: "memory", shared: true }], []);
  assert.throws(() => instantiate(module, { memory: new WebAssembly.Memory({ initial: 1 }) }), /memory/);
});

test("a function that is not there is named, as is a parameter that comes too late", () => {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const functionOf = instantiate(compileModule([{ name: "memory" }], [fillFunction()]), { memory });
  assert.throws(() => functionOf("copy"), { name: "Bug", message: "the module exports no function copy" });
  const late = new FunctionBuilder("late");
  late.local(I32);
  assert.throws(() => late.parameter(I32), { name: "Bug", message: /^late has locals before a parameter/ });
});

test("locals are numbered after the parameters, past 127 too, and are 0 at first", () => {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const many = new FunctionBuilder("many");
  const address = many.parameter(I32);
  const locals = Array.from({ length: 300 }, () => many.local(I32));
  const stores = locals.flatMap((index, i) =>
    f32.store(i32.add(local.get(address), i32.const(4 * i)), [...local.get(index), 0xb3]),
  );
  const sets = locals.flatMap((index, i) => (i === 0 ? [] : local.set(index, i32.const(i))));
  const module = compileModule([{ name: "memory" }], [many.build([...sets, ...stores])]);
  instantiate(module, { memory })("many")(0);
  assert.deepEqual(
    [...new Float32Array(memory.buffer, 0, 300)],
    Array.from({ length: 300 }, (_, i) => i),
  );
});
