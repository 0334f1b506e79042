import { keys } from "../../protocol/keys.ts";
import type { Piece, PieceName } from "../../protocol/piece.ts";

const MAX_PIECES = 1024;

/**
 * Inline pieces that this container has stored in S3 and need not read back. Whoever finds a piece here may rely on
 * its object: it was created before it was put here, and lives until its step has committed.
 */
export class PieceCache {
  readonly #pieces = new Map<string, Piece>();

  get(name: PieceName): Piece | null {
    return this.#pieces.get(keyOf(name)) ?? null;
  }

  set(piece: Piece): void {
    const [oldest] = this.#pieces.keys();
    if (this.#pieces.size >= MAX_PIECES && oldest !== undefined) this.#pieces.delete(oldest);
    this.#pieces.set(keyOf(piece.name), piece);
  }

  /** Forgets the pieces of a step that has committed. */
  forget(job: string, step: number, shard: number, ranks: number): void {
    for (let rank = 0; rank < ranks; rank++) this.#pieces.delete(keyOf({ job, step, shard, rank }));
  }
}

const keyOf = ({ job, step, shard, rank }: PieceName): string => keys.gradient(job, step, shard, rank);
