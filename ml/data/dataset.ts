import { createHash } from "node:crypto";
import { closeSync, createReadStream, openSync, readSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { sha256 } from "../../protocol/digest.ts";
import { CorruptData, Unrecoverable } from "../../protocol/errors.ts";
import { ignoreMissing } from "../../protocol/missing.ts";
import { parseAs } from "../../protocol/parse.ts";
import { SPECIAL_NAMES, type SpecialIds, specialIdsBy } from "../tokenizers/special-tokens.ts";
import { TOKENIZER_FILES, type TokenizerFiles } from "../tokenizers/tokenizer.ts";

const id = z.int().min(0);

/**
 * `meta.json` of a dataset, which is a text as tokens, stored under `datasets/<digest>/`. `tokens.bin` holds the ids of all documents one after
 * the other, as little-endian numbers of 16 bits, or of 32 where the vocabulary needs them.
 */
export const textMetaSchema = z.strictObject({
  kind: z.literal("text"),
  /** `file`: someone else's `tokenizer.json`; `trained`: one made from this text; `none`: the ids are all there is. */
  tokenizer: z.enum(["char", "byte", "trained", "file", "none"]),
  /** Every token is below it. */
  vocabulary: z.int().min(1).max(0x7fffffff),
  /** Length of the text in tokens. */
  tokens: z.int().min(1),
  /** Tokens at its end that its files hold out, as `val.bin` does; default: as many as the job says. */
  heldOut: z.int().min(1).optional(),
  /** Length of the text in bytes; unknown when it came as tokens. */
  bytes: z.int().min(1).optional(),
  /** Default: 1. */
  documents: z.int().min(1).optional(),
  /** Of a token in tokens.bin; default: uint16. */
  type: z.literal("uint32").optional(),
  /** Ids of the special tokens that the tokenizer has. */
  special: z.partialRecord(z.enum(SPECIAL_NAMES), id).optional(),
});
export type TextMeta = z.infer<typeof textMetaSchema>;

export type Dataset = {
  /** The dataset's name: SHA-256 over the names and contents of its files. */
  readonly digest: string;
  /** The folder of its files on this machine. */
  readonly directory: string;
  readonly meta: TextMeta;
  readonly special: SpecialIds;
  /** `tokenizer.json` and `tokenizer_config.json`; none where only ids are known. */
  readonly files: TokenizerFiles;
  readonly tokens: Tokens;
};

export const TOKENS_FILE = "tokens.bin";
export const META_FILE = "meta.json";

/** Its files in the order in which the digest takes them. */
export const DATASET_FILES = [META_FILE, ...TOKENIZER_FILES, TOKENS_FILE] as const;

/** Tokens as training reads them: window by window, from any position. */
export type Tokens = {
  readonly length: number;
  /**
   * Reads the tokens from `start` on, as many as `into` holds.
   *
   * @throws CorruptData when there are none, or one is outside the vocabulary
   */
  read(start: number, into: Int32Array): void;
  close(): void;
};

/** The number format of a token in tokens.bin. */
export type TokenType = "uint16" | "uint32";

/** Returns the smallest format that holds every id of a vocabulary. */
export const typeOf = (vocabulary: number): TokenType => (vocabulary > 0x10000 ? "uint32" : "uint16");

export const bytesPerToken = ({ type }: Pick<TextMeta, "type">): 2 | 4 => (type === "uint32" ? 4 : 2);

/** Returns the field `special` of a dataset's meta.json; none when the tokenizer has no special tokens. */
export function specialOfMeta(ids: SpecialIds): Pick<TextMeta, "special"> {
  const special = Object.fromEntries(Object.entries(ids).filter(([, id]) => id !== null));
  return Object.keys(special).length === 0 ? {} : { special };
}

/**
 * Opens a dataset's directory; its tokens stay on disk.
 *
 * @throws CorruptData when a file is missing, truncated, or does not fit the others
 */
export async function openDataset(directory: string): Promise<Dataset> {
  const small = new Map<string, Uint8Array>();
  for (const name of [META_FILE, ...TOKENIZER_FILES]) {
    const bytes = await readFile(join(directory, name)).catch(ignoreMissing);
    if (bytes) small.set(name, bytes);
  }
  const metaBytes = small.get(META_FILE);
  if (!metaBytes) throw new CorruptData(`the dataset has no ${META_FILE}`);
  const meta = parseAs(textMetaSchema, metaBytes, "the dataset's meta.json");
  small.delete(META_FILE);
  const missing = TOKENIZER_FILES.find((name) => meta.tokenizer !== "none" && !small.has(name));
  if (missing) throw new CorruptData(`the dataset has no ${missing}`);
  const path = join(directory, TOKENS_FILE);
  await checkSize(path, meta);
  const digest = digestOf({
    [META_FILE]: sha256(metaBytes),
    ...digests(small),
    [TOKENS_FILE]: await sha256Of(path),
  });
  const files = Object.fromEntries(small);
  return { digest, directory, meta, special: specialOf(meta), files, tokens: openTokens(path, meta) };
}

async function checkSize(path: string, meta: TextMeta): Promise<void> {
  const info = await stat(path).catch(ignoreMissing);
  if (!info) throw new CorruptData(`the dataset has no ${TOKENS_FILE}`);
  const wanted = bytesPerToken(meta) * meta.tokens;
  if (info.size !== wanted) {
    throw new CorruptData(
      `the dataset's tokens.bin must be ${wanted} bytes for ${meta.tokens} tokens, got ${info.size}`,
    );
  }
}

const digests = (files: ReadonlyMap<string, Uint8Array>): Record<string, string> =>
  Object.fromEntries([...files].map(([name, bytes]) => [name, sha256(bytes)]));

/** @param hashes SHA-256 of each file */
function digestOf(hashes: Readonly<Record<string, string>>): string {
  const there = DATASET_FILES.filter((name) => hashes[name] !== undefined);
  return sha256(there.map((name) => `${hashes[name]}  ${name}\n`).join(""));
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }))
    hash.update(chunk as Uint8Array);
  return hash.digest("hex");
}

const specialOf = ({ special = {} }: TextMeta): SpecialIds => specialIdsBy((name) => special[name] ?? null);

function openTokens(path: string, meta: TextMeta): Tokens {
  const file = openSync(path, "r");
  const { vocabulary, tokens: length } = meta;
  const width = bytesPerToken(meta);
  return {
    length,
    read(start, into) {
      if (!(start >= 0 && start + into.length <= length)) {
        throw new CorruptData(`tokens ${start} to ${start + into.length} are wanted of ${length}`);
      }
      const bytes = new Uint8Array(width * into.length);
      readAll(file, bytes, width * start, path);
      into.set(width === 2 ? new Uint16Array(bytes.buffer) : new Uint32Array(bytes.buffer));
      // A 32-bit id past 2^31 has become negative.
      const outside = into.findIndex((token) => token < 0 || token >= vocabulary);
      if (outside === -1) return;
      throw new CorruptData(
        `the dataset's token ${start + outside} must be below its vocabulary ${vocabulary}, got ${into[outside]}`,
      );
    },
    close: () => closeSync(file),
  };
}

function readAll(file: number, into: Uint8Array, position: number, path: string): void {
  for (let done = 0; done < into.length; ) {
    const read = readSync(file, into, done, into.length - done, position + done);
    if (read === 0)
      throw new Unrecoverable(`${path} was cut short at byte ${position + done} while it was in use`);
    done += read;
  }
}
