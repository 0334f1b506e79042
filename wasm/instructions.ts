import { type Code, leb, signedLeb } from "./encoding.ts";

/**
 * Instructions by their names in WebAssembly's text format. Each is a function of the code of its operands, and gives
 * the code that computes it from them. Addresses and offsets are in bytes.
 */
const unary =
  (...opcode: number[]) =>
  (a: Code): number[] => [...a, ...opcode];
const binary =
  (...opcode: number[]) =>
  (a: Code, b: Code): number[] => [...a, ...b, ...opcode];
const simd = (opcode: number): number[] => [0xfd, ...leb(opcode)];

export const local = {
  get: (index: number): number[] => [0x20, ...leb(index)],
  set: (index: number, value: Code): number[] => [...value, 0x21, ...leb(index)],
  /** Sets a local and leaves the value on the stack. */
  tee: (index: number, value: Code): number[] => [...value, 0x22, ...leb(index)],
};

export const control = {
  /** if (condition) { body } */
  when: (condition: Code, body: Code): number[] => [...condition, 0x04, 0x40, ...body, 0x0b],
  /** do { body } while (condition) */
  repeat: (body: Code, condition: Code): number[] => [0x03, 0x40, ...body, ...condition, 0x0d, 0, 0x0b],
  drop: unary(0x1a),
};

/** Where a load or store goes, beside its address. */
export type MemoryOperand = {
  readonly offset?: number;
  /** The index of the memory. */
  readonly memory?: number;
};

/** Addresses are multiples of 2^2 bytes. */
const ALIGNMENT = 2;
const OTHER_MEMORY = 0x40;

const operand = ({ offset = 0, memory = 0 }: MemoryOperand): number[] =>
  memory === 0 ? [ALIGNMENT, ...leb(offset)] : [OTHER_MEMORY | ALIGNMENT, ...leb(memory), ...leb(offset)];
const load =
  (...opcode: number[]) =>
  (address: Code, to: MemoryOperand = {}): number[] => [...address, ...opcode, ...operand(to)];
const store =
  (...opcode: number[]) =>
  (address: Code, value: Code, to: MemoryOperand = {}): number[] => [
    ...address,
    ...value,
    ...opcode,
    ...operand(to),
  ];

export const i32 = {
  const: (value: number): number[] => [0x41, ...signedLeb(value)],
  add: binary(0x6a),
  sub: binary(0x6b),
  mul: binary(0x6c),
  and: binary(0x71),
  ltU: binary(0x49),
};

export const f32 = {
  const: (value: number): number[] => [0x43, ...new Uint8Array(Float32Array.of(value).buffer)],
  load: load(0x2a),
  store: store(0x38),
  sqrt: unary(0x91),
  add: binary(0x92),
  sub: binary(0x93),
  mul: binary(0x94),
  div: binary(0x95),
  max: binary(0x97),
};

export const v128 = {
  load: load(...simd(0)),
  store: store(...simd(11)),
  /** Four numbers of 32 bits. */
  const: (lanes: readonly [number, number, number, number]): number[] => [
    ...simd(12),
    ...new Uint8Array(Uint32Array.from(lanes).buffer),
  ],
  and: binary(...simd(78)),
  xor: binary(...simd(81)),
};

export const i8x16 = {
  /** @param bytes which 16 of the 32 bytes of `a` and `b` */
  shuffle: (a: Code, b: Code, bytes: readonly number[]): number[] => [...a, ...b, ...simd(13), ...bytes],
  narrowI16x8S: binary(...simd(101)),
};

export const i16x8 = {
  splat: unary(...simd(16)),
  leU: binary(...simd(52)),
};

export const i32x4 = {
  splat: unary(...simd(17)),
  add: binary(...simd(174)),
  shl: (a: Code, bits: number): number[] => [...a, ...i32.const(bits), ...simd(171)],
  truncSatF32x4S: unary(...simd(248)),
};

export const i64x2 = {
  extmulLowI32x4U: binary(...simd(222)),
  extmulHighI32x4U: binary(...simd(223)),
};

export const f32x4 = {
  splat: unary(...simd(19)),
  extractLane: (a: Code, lane: number): number[] => [...a, ...simd(31), lane],
  nearest: unary(...simd(106)),
  sqrt: unary(...simd(227)),
  add: binary(...simd(228)),
  sub: binary(...simd(229)),
  mul: binary(...simd(230)),
  div: binary(...simd(231)),
  min: binary(...simd(232)),
  max: binary(...simd(233)),
  /** a b + c, rounded once where the processor can. */
  relaxedMadd: (a: Code, b: Code, c: Code): number[] => [...a, ...b, ...c, ...simd(261)],
};
