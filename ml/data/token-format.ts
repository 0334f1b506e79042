import { InvalidInput } from "../../protocol/errors.ts";

/** How the numbers of a file of tokens are written. */
export type TokenFormat = {
  /** Bytes before the first number. */
  readonly offset: number;
  readonly bits: 16 | 32;
};

/** llm.c's headers: 256 numbers of 32 bits, of which the first says what follows and the third how much. */
const HEADER_BYTES = 1024;
const HEADERS: ReadonlyMap<number, 16 | 32> = new Map([
  [20240520, 16],
  [20240801, 32],
]);

/** True when a file begins with the header of llm.c. */
export const isTokenHeader = (start: Uint8Array): boolean => headerOf(start) !== null;

function headerOf(start: Uint8Array): { bits: 16 | 32; tokens: number } | null {
  if (start.length < HEADER_BYTES) return null;
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  const bits = HEADERS.get(view.getInt32(0, true));
  const version = view.getInt32(4, true);
  return bits === undefined || version < 1 || version > 100
    ? null
    : { bits, tokens: view.getUint32(8, true) };
}

type TokenFile = {
  readonly name: string;
  readonly bytes: number;
  /** Its first bytes. */
  readonly start: Uint8Array;
  readonly vocabulary: number;
  /** What the user says. */
  readonly bits: 16 | 32 | undefined;
};

/**
 * Returns how a file's numbers are written: as its header or the user says, else with as many bits as the vocabulary
 * needs.
 *
 * @throws InvalidInput when the file can be seen to be of another width
 */
export function tokenFormatOf(file: TokenFile): TokenFormat {
  const { name, bytes, start, vocabulary } = file;
  const header = headerOf(start);
  if (header) {
    const promised = HEADER_BYTES + (header.tokens * header.bits) / 8;
    if (promised === bytes) return { offset: HEADER_BYTES, bits: header.bits };
    throw new InvalidInput(
      `${name} must be ${promised} bytes, as its header promises ${header.tokens} tokens of ${header.bits} bits, got ${bytes} bytes`,
    );
  }
  const bits = file.bits ?? (vocabulary > 0x10000 ? 32 : 16);
  if (bytes % (bits / 8) !== 0) {
    throw new InvalidInput(`${name} must hold ${bits}-bit numbers, got ${bytes} bytes${hint(file, bits)}`);
  }
  if (file.bits === undefined) refuseOtherWidth(file, bits);
  return { offset: 0, bits };
}

/** Fewer numbers than this say nothing about their width. */
const MIN_NUMBERS = 8;

/** Numbers that are wider than they are read have zeros where their higher bits are. */
function refuseOtherWidth({ name, start, vocabulary }: TokenFile, bits: 16 | 32): void {
  const numbers = numbersOf(start, bits);
  if (numbers.length < MIN_NUMBERS || numbers.every((n) => n === 0)) return;
  const seen = widthSeen(numbers, bits);
  if (seen === null) return;
  const { what, why } = seen;
  const fix =
    what === "32-bit numbers"
      ? `say "bits": 32 in data (--bits 32), or "bits": ${bits} if they are ${bits}-bit numbers all the same`
      : `write them with 32 bits, in Python with: numpy.fromfile(FILE, ${what.startsWith("64") ? '"<u8"' : '">u4"'}).astype("<u4").tofile(NEW), and say "bits": 32`;
  throw new InvalidInput(
    `${name} looks like ${what}, and is read with ${bits} bits for vocabulary ${vocabulary}: ${why}; ${fix}`,
  );
}

function widthSeen(numbers: readonly number[], bits: 16 | 32): { what: string; why: string } | null {
  const zeroBut = (step: number, at = 0) => numbers.every((n, i) => i % step === at || n === 0);
  if (bits === 32) {
    return zeroBut(2) ? { what: "64-bit numbers", why: "every 2nd number is 0" } : null;
  }
  if (zeroBut(4)) return { what: "64-bit numbers", why: "3 of 4 numbers are 0" };
  if (zeroBut(2)) return { what: "32-bit numbers", why: "every 2nd number is 0" };
  if (zeroBut(2, 1)) return { what: "big-endian 32-bit numbers", why: "every 1st of 2 numbers is 0" };
  return areHalves(numbers) ? { what: "32-bit numbers", why: "every 2nd number is below 16" } : null;
}

/** Ids past 65,536 have a high half below 16, where 16-bit ids are of all sizes. */
function areHalves(numbers: readonly number[]): boolean {
  if (numbers.length < 64) return false;
  const most = (parity: number) =>
    numbers.reduce((max, n, i) => (i % 2 === parity ? Math.max(max, n) : max), 0);
  return most(1) < 16 && most(0) >= 256;
}

/**
 * Returns what the numbers seem to be, to be added to a message; empty when nothing fits.
 *
 * @param read the bits that they were read with
 */
export function hint({ start, vocabulary }: Pick<TokenFile, "start" | "vocabulary">, read: 16 | 32): string {
  const fits = (numbers: readonly number[]) => numbers.length > 0 && numbers.every((n) => n < vocabulary);
  const bits = ([16, 32] as const).find((other) => other !== read && fits(numbersOf(start, other)));
  if (bits) return `; it looks like ${bits}-bit numbers: say "bits": ${bits} in data (--bits ${bits})`;
  if (fits(numbersOf(start, 16, false)))
    return "; it looks like big-endian 16-bit numbers, and little-endian ones are read";
  if (fits(numbersOf(start, 32, false)))
    return "; it looks like big-endian 32-bit numbers, and little-endian ones are read";
  if (vocabulary <= 256 && fits([...start.subarray(0, 4096)]))
    return "; it looks like 8-bit numbers, and 16 or 32 bits are read";
  return "";
}

function numbersOf(start: Uint8Array, bits: 16 | 32, littleEndian = true): number[] {
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  const width = bits / 8;
  const length = Math.floor(start.length / width);
  return Array.from({ length }, (_, i) =>
    bits === 16 ? view.getUint16(2 * i, littleEndian) : view.getUint32(4 * i, littleEndian),
  );
}
