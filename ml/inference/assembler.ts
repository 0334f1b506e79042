import {
  type Code,
  get,
  I32,
  leb,
  list,
  PREAMBLE,
  section,
  set,
  simd,
  tee,
  text,
  V128,
} from "../../wasm/encoding.ts";

/** A function of a module, exported by its name. It returns nothing. */
export type Routine = {
  readonly name: string;
  readonly parameters: readonly number[];
  readonly locals: readonly number[];
  readonly body: Code;
};

/** Hands out the locals of a routine, its parameters first. */
export class Locals {
  readonly types: number[] = [];

  #add(type: number): number {
    return this.types.push(type) - 1;
  }

  i32 = (): number => this.#add(I32);
  v128 = (): number => this.#add(V128);

  many(count: number, type: () => number): number[] {
    return Array.from({ length: count }, type);
  }
}

/** Completes a routine whose first locals are its parameters. */
export function routine(name: string, locals: Locals, parameters: number, body: Code): Routine {
  const { types } = locals;
  return { name, parameters: types.slice(0, parameters), locals: types.slice(parameters), body };
}

/** A module whose memories are imported, all shared. */
export function moduleOf(memories: readonly string[], routines: readonly Routine[]): Uint8Array {
  const MOST_PAGES = 65_536;
  const type = ({ parameters }: Routine) => [0x60, ...list(parameters.map((each) => [each])), 0];
  const code = ({ locals, body }: Routine) => {
    const content = [...list(locals.map((each) => [1, each])), ...body, 0x0b];
    return [...leb(content.length), ...content];
  };
  const shared = [3, 0, ...leb(MOST_PAGES)];
  return Uint8Array.from([
    ...PREAMBLE,
    ...section(1, routines.map(type)),
    ...section(
      2,
      memories.map((name) => [...text(""), ...text(name), 2, ...shared]),
    ),
    ...section(
      3,
      routines.map((_, i) => leb(i)),
    ),
    ...section(
      7,
      routines.map(({ name }, i) => [...text(name), 0, ...leb(i)]),
    ),
    ...section(10, routines.map(code)),
  ]);
}

/** Where loads and stores go: the memory's index. */
const at = (memory: number, offset: number): number[] =>
  memory === 0 ? [2, ...leb(offset)] : [0x42, ...leb(memory), ...leb(offset)];

/** Instructions as functions of what they take from the stack. Addresses and offsets are in bytes. */
export const asm = {
  i32: (value: number): number[] => [0x41, ...signedLeb(value)],
  addI32: (a: Code, b: Code): number[] => [...a, ...b, 0x6a],
  subI32: (a: Code, b: Code): number[] => [...a, ...b, 0x6b],
  and: (a: Code, b: Code): number[] => [...a, ...b, 0x71],
  mulI32: (a: Code, b: Code): number[] => [...a, ...b, 0x6c],
  below: (a: Code, b: Code): number[] => [...a, ...b, 0x49],
  when: (condition: Code, body: Code): number[] => [...condition, 0x04, 0x40, ...body, 0x0b],
  /** do { body } while (condition) */
  repeat: (body: Code, condition: Code): number[] => [0x03, 0x40, ...body, ...condition, 0x0d, 0, 0x0b],
  f32: (value: number): number[] => [0x43, ...new Uint8Array(Float32Array.of(value).buffer)],
  load: (address: Code, offset = 0, memory = 0): number[] => [...address, 0x2a, ...at(memory, offset)],
  store: (address: Code, value: Code, offset = 0): number[] => [...address, ...value, 0x38, ...at(0, offset)],
  add: (a: Code, b: Code): number[] => [...a, ...b, 0x92],
  mul: (a: Code, b: Code): number[] => [...a, ...b, 0x94],
  max: (a: Code, b: Code): number[] => [...a, ...b, 0x97],
  lane: (a: Code, lane: number): number[] => [...a, ...simd(31), lane],
  splat: (a: Code): number[] => [...a, ...simd(19)],
  load4: (address: Code, offset = 0, memory = 0): number[] => [...address, ...simd(0), ...at(memory, offset)],
  store4: (address: Code, value: Code, offset = 0): number[] => [
    ...address,
    ...value,
    ...simd(11),
    ...at(0, offset),
  ],
  add4: (a: Code, b: Code): number[] => [...a, ...b, ...simd(228)],
  sub4: (a: Code, b: Code): number[] => [...a, ...b, ...simd(229)],
  mul4: (a: Code, b: Code): number[] => [...a, ...b, ...simd(230)],
  div4: (a: Code, b: Code): number[] => [...a, ...b, ...simd(231)],
  min4: (a: Code, b: Code): number[] => [...a, ...b, ...simd(232)],
  max4: (a: Code, b: Code): number[] => [...a, ...b, ...simd(233)],
  nearest4: (a: Code): number[] => [...a, ...simd(106)],
  toInteger4: (a: Code): number[] => [...a, ...simd(248)],
  addInteger4: (a: Code, b: Code): number[] => [...a, ...b, ...simd(174)],
  splatInteger: (a: Code): number[] => [...a, ...simd(17)],
  shiftLeft4: (a: Code, bits: number): number[] => [...a, 0x41, bits, ...simd(171)],
  /** a b + c, rounded once. */
  fused4: (a: Code, b: Code, c: Code): number[] => [...a, ...b, ...c, ...simd(261)],
  get,
  set,
  tee,
};

function signedLeb(value: number): number[] {
  const low = value & 127;
  const rest = value >> 7;
  const done = (rest === 0 && low < 64) || (rest === -1 && low >= 64);
  return done ? [low] : [low | 128, ...signedLeb(rest)];
}
