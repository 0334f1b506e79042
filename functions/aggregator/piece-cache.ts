import { keys } from "../../protocol/keys.ts";
import type { Piece, PieceName } from "../../protocol/piece.ts";

const MAX_BYTES = 256 * 1024 * 1024;

/**
 * Pieces that are in S3 and need not be read again while their step waits for the others. A piece here has an object in
 * S3: it was stored before it was put here, never changes, and is kept until its step has committed. When a step's
 * pieces do not all fit, the first to come stay (which no LRU cache does): evicting them for the last ones would mean
 * that each is read twice.
 */
export class PieceCache {
  readonly #pieces = new Map<string, Piece>();
  readonly #limit: number;
  #bytes = 0;

  /** @param limit in bytes */
  constructor(limit = MAX_BYTES) {
    this.#limit = limit;
  }

  get(name: PieceName): Piece | null {
    return this.#pieces.get(keyOf(name)) ?? null;
  }

  /** True when a piece would be kept; pieces of other jobs and steps make room for it, the oldest first. */
  hasRoom({ job, step }: PieceName, bytes: number): boolean {
    for (const { name } of this.#pieces.values()) {
      if (this.#bytes + bytes <= this.#limit) return true;
      if (name.job !== job || name.step < step) this.#drop(keyOf(name));
    }
    return this.#bytes + bytes <= this.#limit;
  }

  set(piece: Piece): void {
    const key = keyOf(piece.name);
    this.#drop(key);
    if (!this.hasRoom(piece.name, piece.gradient.byteLength)) return;
    this.#pieces.set(key, piece);
    this.#bytes += piece.gradient.byteLength;
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
