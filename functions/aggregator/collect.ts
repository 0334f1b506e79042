import { BadGradient, CorruptData, TryAgain } from "../../protocol/errors.ts";
import { keys, numberIn } from "../../protocol/keys.ts";
import { type Layout, lengthOf, tensorAt } from "../../protocol/layout.ts";
import type { GradientMessage } from "../../protocol/messages.ts";
import { decodePiece, type Piece, type PieceName } from "../../protocol/piece.ts";
import { rangeOf } from "../../protocol/shard.ts";
import type { Server } from "../server.ts";
import { firstNonFinite } from "./reduce.ts";

/** One shard at one step. */
export type ShardStep = { readonly job: string; readonly shard: number; readonly step: number };

/**
 * Gathers the pieces of a step: those in the messages at hand, in memory, and in S3. While some are missing, the
 * inline ones at hand are stored, so that their messages may be acknowledged.
 *
 * @returns all pieces in rank order, or null when some have yet to come
 */
export async function collectPieces(
  server: Server,
  at: ShardStep,
  ranks: number,
  layout: Layout,
  messages: readonly GradientMessage[],
): Promise<Piece[] | null> {
  const found = new Map<number, Piece>();
  for (const message of messages) await take(server, at, ranks, layout, message, found);
  for (const rank of missing(found, ranks)) {
    const piece = server.pieces.get({ ...at, rank });
    if (piece) found.set(rank, piece);
  }
  if (found.size < ranks) {
    await storeInline(server, messages, found);
    await readStored(server, at, ranks, layout, found);
  }
  if (found.size < ranks) return null;
  return [...found.values()].sort((a, b) => a.name.rank - b.name.rank);
}

const missing = (found: ReadonlyMap<number, Piece>, ranks: number): number[] =>
  Array.from({ length: ranks }, (_, rank) => rank).filter((rank) => !found.has(rank));

async function take(
  server: Server,
  at: ShardStep,
  ranks: number,
  layout: Layout,
  { rank, inline }: GradientMessage,
  found: Map<number, Piece>,
): Promise<void> {
  if (rank >= ranks) throw new CorruptData(`rank must be below ${ranks}, got ${rank}`);
  if (found.has(rank)) return;
  const name = { ...at, rank };
  if (inline !== null) found.set(rank, check(decodePiece(name, Buffer.from(inline, "base64")), layout));
  // Read ahead what can be kept until the others are there; the rest is read when they are.
  else if (server.pieces.hasRoom(name, pieceBytes(layout, at))) {
    found.set(rank, await read(server, name, layout));
  }
}

/** The PUT comes before the LIST in `readStored`: of two containers at work at once, one sees both pieces. */
async function storeInline(
  { cloud, pieces }: Server,
  messages: readonly GradientMessage[],
  found: ReadonlyMap<number, Piece>,
): Promise<void> {
  const inline = messages.filter((message) => message.inline !== null);
  await Promise.all(
    inline.map(async ({ job, step, shard, rank, inline }) => {
      const key = keys.gradient(job, step, shard, rank);
      const created = await cloud.store.create(key, Buffer.from(inline ?? "", "base64"));
      const piece = found.get(rank);
      // When it existed already, the stored one counts, and may differ in what its worker reported.
      if (created === "created" && piece) pieces.set(piece);
    }),
  );
}

async function readStored(
  server: Server,
  at: ShardStep,
  ranks: number,
  layout: Layout,
  found: Map<number, Piece>,
): Promise<void> {
  const listed = await server.cloud.store.list(keys.gradientsOfShard(at.job, at.step, at.shard));
  const there = new Set(listed.map(({ key }) => numberIn(key)));
  const wanted = missing(found, ranks).filter((rank) => there.has(rank));
  if (found.size + wanted.length < ranks) return;
  const pieces = await Promise.all(wanted.map((rank) => read(server, { ...at, rank }, layout)));
  for (const piece of pieces) found.set(piece.name.rank, piece);
}

const pieceBytes = (layout: Layout, { shard }: ShardStep): number =>
  Float32Array.BYTES_PER_ELEMENT * lengthOf(rangeOf(layout, shard));

/** A piece from S3, kept at hand until its step commits. */
async function read({ cloud, pieces }: Server, name: PieceName, layout: Layout): Promise<Piece> {
  const cached = pieces.get(name);
  if (cached) return cached;
  const key = keys.gradient(name.job, name.step, name.shard, name.rank);
  const stored = await cloud.store.get(key);
  if (!stored) throw new TryAgain(`${key} is not there`);
  const piece = check(decodePiece(name, stored.body), layout);
  pieces.set(piece);
  return piece;
}

/** @throws BadGradient with step, rank and tensor, when the piece must not be applied */
function check(piece: Piece, layout: Layout): Piece {
  const { step, rank, shard } = piece.name;
  const range = rangeOf(layout, shard);
  if (piece.gradient.length !== lengthOf(range)) {
    const lengths = `must have ${lengthOf(range)} elements, got ${piece.gradient.length}`;
    throw new BadGradient(`step ${step}, rank ${rank}: the gradient of shard ${shard} ${lengths}`);
  }
  const bad = firstNonFinite(piece.gradient);
  if (bad >= 0) {
    const tensor = tensorAt(layout, range.start + bad)?.name ?? "?";
    throw new BadGradient(
      `step ${step}, rank ${rank}: the gradient of ${tensor} is not finite (${piece.gradient[bad]}); ` +
        "lower optimizer.learningRate or set optimizer.clipNorm",
    );
  }
  return piece;
}
