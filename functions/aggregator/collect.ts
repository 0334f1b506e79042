import { log } from "../../cloud/log.ts";
import { BadGradient, CorruptData, TryAgain } from "../../protocol/errors.ts";
import { keys, numberIn } from "../../protocol/keys.ts";
import { lengthOf } from "../../protocol/layout.ts";
import type { GradientMessage } from "../../protocol/messages.ts";
import { decodePiece, type Piece, type PieceName } from "../../protocol/piece.ts";
import { rangeOf } from "../../protocol/shard.ts";
import type { Server } from "../server.ts";
import { firstNonFinite } from "./reduce.ts";
import { NOT_FINITE_ADVICE, parameterAt, type ShardStep } from "./shard-step.ts";

/** Pieces of a step by rank. */
type Pieces = Map<number, Piece>;

/**
 * Gathers the pieces of a step: those in the messages, in memory, and in S3. While some are missing, the inline ones of
 * the messages are stored, so that the messages may be acknowledged.
 *
 * @returns all pieces in rank order, or null when some have yet to come
 */
export async function collectPieces(
  server: Server,
  shardStep: ShardStep,
  messages: readonly GradientMessage[],
): Promise<Piece[] | null> {
  const { ranks } = shardStep.spec;
  const pieces: Pieces = new Map();
  for (const message of messages) await takePiece(server, shardStep, message, pieces);
  for (const rank of missingRanks(pieces, ranks)) {
    const piece = server.pieces.get(nameOf(shardStep, rank));
    if (piece) pieces.set(rank, piece);
  }
  if (pieces.size < ranks) {
    await storeInline(server, messages, pieces);
    await readStored(server, shardStep, pieces);
  }
  log.debug("pieces collected", { pieces: pieces.size, ranks });
  if (pieces.size < ranks) return null;
  return [...pieces.values()].sort((a, b) => a.name.rank - b.name.rank);
}

const nameOf = ({ job, step, shard }: ShardStep, rank: number): PieceName => ({ job, step, shard, rank });

const missingRanks = (pieces: ReadonlyMap<number, Piece>, ranks: number): number[] =>
  Array.from({ length: ranks }, (_, rank) => rank).filter((rank) => !pieces.has(rank));

/** Takes the piece that a message has or points to. */
async function takePiece(
  server: Server,
  shardStep: ShardStep,
  { rank, inline }: GradientMessage,
  pieces: Pieces,
): Promise<void> {
  const { ranks } = shardStep.spec;
  if (rank >= ranks) throw new CorruptData(`rank must be below ${ranks}, got ${rank}`);
  if (pieces.has(rank)) return;
  const name = nameOf(shardStep, rank);
  if (inline !== null) {
    pieces.set(rank, checkPiece(decodePiece(name, Buffer.from(inline, "base64")), shardStep));
    // Pieces that fit into memory are read as their messages come; the rest is read when all are stored.
  } else if (server.pieces.hasRoom(name, pieceBytes(shardStep))) {
    pieces.set(rank, await readPiece(server, shardStep, rank));
  }
}

/** The PUT comes before the LIST in `readStored`: of two containers at work at once, one sees both pieces. */
async function storeInline(
  server: Server,
  messages: readonly GradientMessage[],
  pieces: ReadonlyMap<number, Piece>,
): Promise<void> {
  await Promise.all(
    messages.map(async ({ job, step, shard, rank, inline }) => {
      if (inline === null) return;
      const key = keys.gradient(job, step, shard, rank);
      const created = await server.cloud.store.create(key, Buffer.from(inline, "base64"));
      const piece = pieces.get(rank);
      // When it existed already, the stored one counts, and may differ in what its worker reported.
      if (created === "created" && piece) server.pieces.set(piece);
    }),
  );
}

/** Reads the missing pieces from S3 once all of them are stored. */
async function readStored(server: Server, shardStep: ShardStep, pieces: Pieces): Promise<void> {
  const { job, step, shard, spec } = shardStep;
  const listed = await server.cloud.store.list(keys.gradientsOfShard(job, step, shard));
  const stored = new Set(listed.map(({ key }) => numberIn(key)));
  const missing = missingRanks(pieces, spec.ranks);
  if (!missing.every((rank) => stored.has(rank))) return;
  const read = await Promise.all(missing.map((rank) => readPiece(server, shardStep, rank)));
  for (const piece of read) pieces.set(piece.name.rank, piece);
}

const pieceBytes = ({ layout, shard }: ShardStep): number =>
  Float32Array.BYTES_PER_ELEMENT * lengthOf(rangeOf(layout, shard));

/** Reads a piece from S3, and keeps it in memory until its step commits. */
async function readPiece({ cloud, pieces }: Server, shardStep: ShardStep, rank: number): Promise<Piece> {
  const name = nameOf(shardStep, rank);
  const cached = pieces.get(name);
  if (cached) return cached;
  const key = keys.gradient(name.job, name.step, name.shard, rank);
  const stored = await cloud.store.getAs(key, (body) => decodePiece(name, body));
  if (!stored) throw new TryAgain(`${key} is not there`);
  const piece = checkPiece(stored, shardStep);
  pieces.set(piece);
  return piece;
}

/** @throws BadGradient with step, rank and tensor, when the piece must not be applied */
function checkPiece(piece: Piece, shardStep: ShardStep): Piece {
  const { step, rank, shard } = piece.name;
  const length = lengthOf(rangeOf(shardStep.layout, shard));
  if (piece.gradient.length !== length) {
    const rule = `must have ${length} elements, got ${piece.gradient.length}`;
    throw new BadGradient(`step ${step}, rank ${rank}: the gradient of shard ${shard} ${rule}`);
  }
  const bad = firstNonFinite(piece.gradient);
  if (bad < 0) return piece;
  const name = parameterAt(shardStep, bad);
  throw new BadGradient(
    `step ${step}, rank ${rank}: the gradient of ${name} is not finite (${piece.gradient[bad]}); ${NOT_FINITE_ADVICE}`,
  );
}
