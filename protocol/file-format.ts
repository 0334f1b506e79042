/** What a file is by its first bytes, whatever its name says. */
export type FileFormat = {
  /** Completes "FILE is ...". */
  readonly what: string;
  /** What to do about it, as a command where one does it. @param file its name */
  fix(file: string): string;
  /** Compressed or moved data, which was meant to be read; the others are files that hold no text at all. */
  readonly isData: boolean;
};

/** The number of bytes at a file's start that show its format. */
export const FORMAT_BYTES = 1 << 16;

type Magic = FileFormat & { readonly starts: (bytes: Uint8Array) => boolean };

const at = (offset: number, ...magic: readonly (number | string)[]) => {
  const wanted = magic.flatMap((part) =>
    typeof part === "number" ? [part] : [...Buffer.from(part, "latin1")],
  );
  return (bytes: Uint8Array): boolean => wanted.every((byte, i) => bytes[offset + i] === byte);
};

const data = (what: string, fix: FileFormat["fix"], starts: Magic["starts"]): Magic => ({
  what,
  fix,
  starts,
  isData: true,
});

const other = (
  what: string,
  starts: Magic["starts"],
  fix = "give a text, .jsonl, .json, .parquet or .bin file",
) => ({
  what,
  starts,
  fix: () => fix,
  isData: false,
});

const GZIP = at(0, 0x1f, 0x8b, 8);
/** The fourth byte has the flags, of which gzip defines five. */
const isGzip = (bytes: Uint8Array): boolean => GZIP(bytes) && (bytes[3] ?? 255) < 32;

const FORMATS: readonly Magic[] = [
  data(
    "a Git LFS pointer, not the file itself",
    () => "run git lfs pull in its folder",
    at(0, "version https://git-lfs.github.com/spec/"),
  ),
  data("compressed with gzip", (file) => `unpack it: ${unpack("gunzip", file, ".gz")}`, isGzip),
  data(
    "compressed with zstd",
    (file) => `unpack it: ${unpack("zstd", file, ".zst")}`,
    at(0, 0x28, 0xb5, 0x2f, 0xfd),
  ),
  data("compressed with xz", (file) => `unpack it: ${unpack("xz", file, ".xz")}`, at(0, 0xfd, "7zXZ", 0)),
  data(
    "compressed with bzip2",
    (file) => `unpack it: ${unpack("bzip2", file, ".bz2")}`,
    (bytes) => at(0, "BZh")(bytes) && at(4, "1AY&SY")(bytes),
  ),
  data(
    "compressed with lz4",
    (file) => `unpack it: ${unpack("lz4", file, ".lz4")}`,
    at(0, 4, 0x22, 0x4d, 0x18),
  ),
  data("a zip archive", (file) => `unpack it: unzip ${quote(file)}`, at(0, "PK", 3, 4)),
  data("a 7-Zip archive", (file) => `unpack it: 7z x ${quote(file)}`, at(0, "7z", 0xbc, 0xaf, 0x27, 0x1c)),
  data("a tar archive", (file) => `unpack it: tar -xf ${quote(file)}`, at(257, "ustar")),
  data(
    "a NumPy array",
    (file) => {
      const to = renamed(file, ".npy", ".bin");
      return `write its numbers without a header: python -c 'import numpy; numpy.load("${file}").astype("<u4").tofile("${to}")', and give data.bits 32`;
    },
    at(0, 0x93, "NUMPY"),
  ),
  data(
    "an Arrow file",
    () => "write it as parquet, in Python with: datasets.Dataset.from_file(FILE).to_parquet(NEW)",
    (bytes) => at(0, "ARROW1")(bytes) || (at(0, 0xff, 0xff, 0xff, 0xff)(bytes) && at(8, 16, 0, 0, 0)(bytes)),
  ),
  other("a Python pickle", (bytes) => bytes[0] === 0x80 && isPickleVersion(bytes[1] ?? 0) && isPickle(bytes)),
  other("the index of a Megatron dataset", at(0, "MMIDIDX")),
  other("a PDF", at(0, "%PDF-")),
  other("a PNG image", at(0, 0x89, "PNG")),
  other("a JPEG image", at(0, 0xff, 0xd8, 0xff)),
  other("a GGUF model", at(0, "GGUF")),
  other("an HDF5 file", at(0, 0x89, "HDF\r\n")),
  other("an SQLite database", at(0, "SQLite format 3", 0)),
  other("a program", at(0, 0x7f, "ELF")),
  other("safetensors weights", (bytes) => at(3, 0, 0, 0, 0, 0, "{")(bytes) && at(9, '"')(bytes)),
];

const isPickleVersion = (version: number): boolean => version >= 2 && version <= 5;

/** After its version a pickle has an opcode. */
const isPickle = (bytes: Uint8Array): boolean =>
  bytes.length < 3 || /[\x28-\x5d\x7d\x80-\x95]/.test(String.fromCharCode(bytes[2] ?? 0));

/**
 * Returns the format of a file that is no text and no data that is read here; null for any other.
 *
 * @param bytes its start, FORMAT_BYTES of it or all
 */
export function formatOf(bytes: Uint8Array): FileFormat | null {
  return FORMATS.find(({ starts }) => starts(bytes)) ?? encodingOf(bytes) ?? pageOf(bytes);
}

/** Marks that an encoding puts at the start of a text; the longer ones first. */
const MARKS = [
  ["UTF-32", at(0, 0xff, 0xfe, 0, 0), "UTF-32"],
  ["UTF-32", at(0, 0, 0, 0xfe, 0xff), "UTF-32"],
  ["UTF-16", at(0, 0xff, 0xfe), "UTF-16"],
  ["UTF-16", at(0, 0xfe, 0xff), "UTF-16"],
] as const;

function encodingOf(bytes: Uint8Array): FileFormat | null {
  const name = MARKS.find(([, starts]) => starts(bytes))?.[0] ?? unmarkedEncoding(bytes);
  if (name === null) return null;
  return {
    what: `${name} text`,
    fix: (file) =>
      `convert it: iconv -f ${name} -t UTF-8 ${quote(file)} > ${quote(renamed(file, "", ".utf8"))}`,
    isData: true,
  };
}

/** The share of zero bytes in UTF-16 of any script: spaces and line breaks have them. */
const MIN_ZEROS = 0.02;

/** UTF-16 and UTF-32 without a mark: ASCII characters have zero bytes at the same offset of each unit. */
function unmarkedEncoding(bytes: Uint8Array): string | null {
  const zeros = [0, 0, 0, 0];
  for (let i = 0; i < bytes.length; i++) if (bytes[i] === 0) zeros[i % 4] = (zeros[i % 4] ?? 0) + 1;
  const [a = 0, b = 0, c = 0, d = 0] = zeros;
  if (a + b + c + d < Math.max(1, bytes.length * MIN_ZEROS) || bytes.length % 2 !== 0) return null;
  const units = Math.floor(bytes.length / 4);
  if (units > 0 && bytes.length % 4 === 0 && c === units && d === units && a === 0) return "UTF-32LE";
  if (units > 0 && bytes.length % 4 === 0 && a === units && b === units && d === 0) return "UTF-32BE";
  if (a + c === 0 && isUtf16(bytes, "utf-16le")) return "UTF-16LE";
  if (b + d === 0 && isUtf16(bytes, "utf-16be")) return "UTF-16BE";
  return null;
}

function isUtf16(bytes: Uint8Array, encoding: "utf-16le" | "utf-16be"): boolean {
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(bytes, { stream: true });
    return !text.includes("\0");
  } catch {
    return false;
  }
}

/** A download without permission, or from the wrong address, leaves an HTML page instead of the file. */
function pageOf(bytes: Uint8Array): FileFormat | null {
  const start = Buffer.from(bytes.subarray(0, 512)).toString("latin1");
  if (!/^(?:\xef\xbb\xbf)?\s*(?:<!--.{0,300}?-->\s*)?<(?:!doctype\s+html|html)[\s>]/is.test(start))
    return null;
  return {
    what: "an HTML page",
    fix: () =>
      "a failed download looks like this; download the file itself (on Hugging Face, /resolve/ in place of /blob/), or name it .html to train on it",
    isData: true,
  };
}

/** The start of a text without the byte order mark that some programs write before it. */
export const withoutMark = (bytes: Uint8Array): Uint8Array =>
  at(0, 0xef, 0xbb, 0xbf)(bytes) ? bytes.subarray(3) : bytes;

/** Names the known format that a file's first bytes show, with advice; null when they show none. */
export function disguiseOf(bytes: Uint8Array, name: string): string | null {
  const format = formatOf(bytes.subarray(0, FORMAT_BYTES));
  return format === null ? null : `${name} is ${format.what}; ${format.fix(name)}`;
}

/** The programs keep the file, and ask before they write over another. */
const unpack = (command: string, file: string, suffix: string): string =>
  file.toLowerCase().endsWith(suffix)
    ? `${command}${command === "gunzip" ? " -k" : " -d -k"} ${quote(file)}`
    : `${command} -d -c < ${quote(file)} > ${quote(`${file}.unpacked`)}`;

/** The name with another ending, or with one more. */
function renamed(file: string, from: string, to: string): string {
  const stem = from !== "" && file.toLowerCase().endsWith(from) ? file.slice(0, -from.length) : file;
  return stem + to === file ? `${file}.unpacked` : stem + to;
}

/** The name as a shell takes it. */
const quote = (file: string): string =>
  /^[\w./:@%+,=-]+$/.test(file) ? file : `'${file.replaceAll("'", "'\\''")}'`;
