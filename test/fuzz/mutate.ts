/** A generator of 32-bit numbers from a seed (xorshift). */
export function randomOf(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** Values that readers of sizes, counts and names get wrong. */
const WORDS = [
  ...["__proto__", "constructor", "toString", "null", "true", "[]", "{}", '""', "\0", "\ufeff", "\ud800"],
  ...["-1", "0", "1e999", "9007199254740993", "4294967296", "2147483648", "-0", "1e-400", "NaN"],
  ..."[".repeat(3).split(""),
  "[".repeat(20_000),
  '{"a":'.repeat(5000),
  "../../../../etc/passwd",
].map((word) => Buffer.from(word));
const EDGES = [0, 1, 0x7f, 0x80, 0xff];

/** Changes a copy of an input in one to six places. */
export function mutate(input: Uint8Array, other: Uint8Array, random: (below: number) => number): Uint8Array {
  let bytes = Buffer.from(input);
  for (let left = 1 + random(6); left > 0; left--) {
    const at = random(bytes.length + 1);
    const length = random(Math.min(64, bytes.length - at + 1));
    const rest = bytes.subarray(at + length);
    const start = bytes.subarray(0, at);
    const piece = random(other.length + 1);
    const word = WORDS[random(WORDS.length)] ?? Buffer.alloc(0);
    const changes = [
      () => Buffer.concat([start, rest]),
      () => Buffer.concat([start, word, bytes.subarray(at)]),
      () => Buffer.concat([start, word, rest]),
      () => Buffer.concat([start, other.subarray(piece, piece + random(256)), rest]),
      () => Buffer.concat([start, bytes.subarray(at, at + length), bytes.subarray(at)]),
      () => bytes.subarray(0, at),
      () => setByte(bytes, at, EDGES[random(EDGES.length)] ?? 0),
      () => setByte(bytes, at, random(256)),
      () => setByte(bytes, at, (bytes[at] ?? 0) ^ (1 << random(8))),
    ];
    bytes = Buffer.from((changes[random(changes.length)] ?? (() => bytes))());
  }
  return bytes.subarray(0, 1 << 20);
}

function setByte(bytes: Buffer, at: number, value: number): Buffer {
  if (at < bytes.length) bytes[at] = value;
  return bytes;
}
