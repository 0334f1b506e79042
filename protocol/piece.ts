import { z } from "zod";
import { bytesOf, floatsOf, sha256 } from "./digest.ts";
import { CorruptData } from "./errors.ts";
import { parseAs } from "./parse.ts";
import { required } from "./required.ts";
import { encodeHeader, parseHeader, tensorBytes } from "./safetensors.ts";

/** One rank's gradient for one shard: the unit that counts exactly once. */
export type PieceName = {
  readonly job: string;
  readonly step: number;
  readonly shard: number;
  readonly rank: number;
};

/** The report of a worker with its gradient; the same for all pieces of a rank. */
export const reportSchema = z.strictObject({
  loss: z.number(),
  tokens: z.int().min(0),
  pullMs: z.number(),
  computeMs: z.number(),
  pushMs: z.number(),
  worker: z.string().max(100),
});
export type Report = z.infer<typeof reportSchema>;

export type Piece = {
  readonly name: PieceName;
  readonly gradient: Float32Array;
  readonly report: Report;
  /** SHA-256 of the gradient's bytes. */
  readonly digest: string;
};

const describePiece = ({ job, step, shard, rank }: PieceName): string =>
  `the gradient of ${job}, step ${step}, shard ${shard}, rank ${rank}`;

/** A piece as a safetensors file with one tensor, `gradient`. */
export function encodePiece(name: PieceName, gradient: Float32Array, report: Report): Uint8Array {
  const bytes = bytesOf(gradient);
  const metadata = { name: describePiece(name), report: JSON.stringify(report), digest: sha256(bytes) };
  const header = encodeHeader([{ name: "gradient", shape: [gradient.length] }], metadata);
  const file = new Uint8Array(header.length + bytes.length);
  file.set(header);
  file.set(bytes, header.length);
  return file;
}

/**
 * Reads a piece and checks that it is the one asked for, whole and unchanged.
 *
 * @throws CorruptData when it is not; the values are checked by the aggregator
 */
export function decodePiece(name: PieceName, file: Uint8Array): Piece {
  const what = describePiece(name);
  const header = parseHeader(file, what, file.length);
  const { metadata } = header;
  if (metadata.name !== what) {
    throw new CorruptData(`${what} is wrong: the object says it is ${metadata.name ?? "nothing"}`);
  }
  const bytes = tensorBytes(file, header, "gradient", what);
  const digest = sha256(bytes);
  const digests = `SHA-256 must be ${metadata.digest}, it is ${digest}`;
  if (digest !== metadata.digest)
    throw new CorruptData(`${what}: its bytes do not match its digest (${digests})`);
  return {
    name,
    gradient: floatsOf(bytes),
    report: parseAs(reportSchema, required(metadata.report, `${what}: its report`), `${what}: its report`),
    digest,
  };
}
