/**
 * The binary format of WebAssembly, as far as modules here need it.
 * Source: https://webassembly.github.io/spec/core/binary/index.html
 */
export type Code = readonly number[];

/** Types of values. */
export const [I32, F32, V128] = [0x7f, 0x7d, 0x7b];

/** The bytes that every module begins with. */
export const PREAMBLE: Code = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];

/** An unsigned number, in LEB128. */
export function leb(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) | 128, ...leb(Math.floor(value / 128))];
}

/** A signed number, in LEB128. */
export function signedLeb(value: number): number[] {
  const low = value & 127;
  const rest = value >> 7;
  const done = (rest === 0 && low < 64) || (rest === -1 && low >= 64);
  return done ? [low] : [low | 128, ...signedLeb(rest)];
}

/** Items after their number. */
export const list = (items: readonly Code[]): number[] => [...leb(items.length), ...items.flat()];

/** Bytes after their number. */
export const sized = (bytes: Code): number[] => [...leb(bytes.length), ...bytes];

export const text = (name: string): number[] => sized([...Buffer.from(name)]);

export const section = (id: number, items: readonly Code[]): number[] => [id, ...sized(list(items))];
