/**
 * The bytes of a WebAssembly module, written instruction by instruction.
 * Encoding: https://webassembly.github.io/spec/core/binary/index.html
 */
export type Code = readonly number[];

export const [I32, F32, V128] = [0x7f, 0x7d, 0x7b];

export const simd = (opcode: number): number[] => [0xfd, ...leb(opcode)];
export const get = (local: number): number[] => [0x20, ...leb(local)];
export const set = (local: number): number[] => [0x21, ...leb(local)];
export const tee = (local: number): number[] => [0x22, ...leb(local)];

export const list = (items: readonly Code[]): number[] => [...leb(items.length), ...items.flat()];

export function section(id: number, items: readonly Code[]): number[] {
  const content = list(items);
  return [id, ...leb(content.length), ...content];
}

export const text = (name: string): number[] => list([...Buffer.from(name)].map((byte) => [byte]));

/** What every module begins with. */
export const PREAMBLE: Code = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];

/** Unsigned LEB128. */
export function leb(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) | 128, ...leb(Math.floor(value / 128))];
}
