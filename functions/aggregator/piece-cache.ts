import { keys } from "../../protocol/keys.ts";
import type { Piece, PieceName } from "../../protocol/piece.ts";

const MAX_BYTES = 256 * 1024 * 1024;

/**
 * Pieces that are in S3 and need not be read again while their step waits for the others. Whoever finds a piece here
 * may rely on its object: it was there before it was put here, never changes, and lives until its step has
 * committed. The oldest go first.
 */
export class PieceCache {
  readonly #pieces = new Map<string, Piece>();
  #bytes = 0;

  get(name: PieceName): Piece | null {
    return this.#pieces.get(keyOf(name)) ?? null;
  }

  set(piece: Piece): void {
    this.#drop(keyOf(piece.name));
    this.#pieces.set(keyOf(piece.name), piece);
    this.#bytes += piece.gradient.byteLength;
    for (const oldest of this.#pieces.keys()) {
      if (this.#bytes <= MAX_BYTES) break;
      this.#drop(oldest);
    }
  }

  /** Forgets the pieces of a step that has committed. */
  forget(job: string, step: number, shard: number, ranks: number): void {
    for (let rank = 0; rank < ranks; rank++) this.#drop(keyOf({ job, step, shard, rank }));
  }

  #drop(key: string): void {
    this.#bytes -= this.#pieces.get(key)?.gradient.byteLength ?? 0;
    this.#pieces.delete(key);
  }
}

const keyOf = ({ job, step, shard, rank }: PieceName): string => keys.gradient(job, step, shard, rank);
