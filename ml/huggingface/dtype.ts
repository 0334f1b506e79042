import type { Dtype } from "../../protocol/safetensors.ts";

/** The number formats in which weights are stored: IEEE binary32 and binary16, and bfloat16. */
export type FloatType = Extract<Dtype, "F32" | "F16" | "BF16">;

export const isFloat = (dtype: Dtype): dtype is FloatType =>
  dtype === "F32" || dtype === "F16" || dtype === "BF16";

export const bytesPerElement = (dtype: FloatType): number => (dtype === "F32" ? 4 : 2);

/**
 * Turns numbers that lie in the second half of `values`' own memory into 32-bit floats, in place: element i is
 * written at byte 4 i, which is never past what is still to be read. Exact for every number.
 */
export function widen(values: Float32Array, dtype: FloatType): void {
  if (dtype === "F32") return;
  const { buffer, byteOffset, length } = values;
  const from = new Uint16Array(buffer, byteOffset + 2 * length, length);
  const to = new Uint32Array(buffer, byteOffset, length);
  if (dtype === "BF16") for (let i = 0; i < length; i++) to[i] = (from[i] ?? 0) << 16;
  else {
    const bits = halfBits();
    for (let i = 0; i < length; i++) to[i] = bits[from[i] ?? 0] ?? 0;
  }
}

let table: Uint32Array | undefined;

/** The 32 bits of every 16-bit float. */
function halfBits(): Uint32Array {
  table ??= Uint32Array.from({ length: 1 << 16 }, (_, half) => widenHalf(half));
  return table;
}

/** Source: IEEE 754-2008, section 3.4: sign, 5 bits of exponent with bias 15, 10 bits of fraction. */
function widenHalf(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return (sign | 0x7f800000 | (fraction << 13)) >>> 0;
  if (exponent > 0) return (sign | ((exponent + 112) << 23) | (fraction << 13)) >>> 0;
  if (fraction === 0) return sign >>> 0;
  // Subnormal: fraction x 2^-24, which 32 bits hold as a normal number.
  const shift = Math.clz32(fraction) - 21;
  return (sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13)) >>> 0;
}
