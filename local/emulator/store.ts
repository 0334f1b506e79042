import { join } from "node:path";
import { DatabaseSync, type SQLInputValue, type SQLOutputValue, type StatementSync } from "node:sqlite";
import type { z } from "zod";
import { CorruptData } from "../../protocol/errors.ts";
import { asApiError } from "./errors.ts";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY) WITHOUT ROWID;
  -- Keys are blobs so that they sort by their UTF-8 bytes and may hold any character, NUL included.
  CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT NOT NULL, key BLOB NOT NULL, etag TEXT NOT NULL, size INTEGER NOT NULL,
    modified INTEGER NOT NULL, type TEXT NOT NULL, meta TEXT NOT NULL, crc32 TEXT,
    files TEXT NOT NULL, inline BLOB);
  CREATE UNIQUE INDEX IF NOT EXISTS objects_by_key ON objects (bucket, key);
  CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key BLOB NOT NULL, started INTEGER NOT NULL,
    type TEXT NOT NULL, meta TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS parts (
    upload TEXT NOT NULL, number INTEGER NOT NULL, etag TEXT NOT NULL, crc32 TEXT NOT NULL,
    size INTEGER NOT NULL, modified INTEGER NOT NULL, file TEXT NOT NULL, PRIMARY KEY (upload, number)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS queues (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, attributes TEXT NOT NULL,
    created INTEGER NOT NULL, modified INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, queue INTEGER NOT NULL, grp TEXT NOT NULL, visible INTEGER NOT NULL,
    receipt TEXT, received INTEGER NOT NULL, first INTEGER, sent INTEGER NOT NULL,
    id TEXT NOT NULL, dedup TEXT, body TEXT NOT NULL);
  CREATE INDEX IF NOT EXISTS messages_in_order ON messages (queue, seq, visible, grp);
  CREATE INDEX IF NOT EXISTS messages_by_time ON messages (queue, visible);
  CREATE INDEX IF NOT EXISTS messages_by_group ON messages (queue, grp, visible);
  CREATE TABLE IF NOT EXISTS dedups (
    queue INTEGER NOT NULL, scope TEXT NOT NULL, dedup TEXT NOT NULL, sent INTEGER NOT NULL,
    seq INTEGER NOT NULL, id TEXT NOT NULL, PRIMARY KEY (queue, scope, dedup)) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS dedups_by_time ON dedups (sent);
`;

export type Row = Record<string, SQLOutputValue>;

type Pending = {
  readonly durable: boolean;
  /** Runs the operation inside the open transaction. */
  readonly apply: () => void;
  /** Answers the caller with the operation's outcome, or with the error that the whole transaction failed with. */
  readonly settle: (failure?: { readonly error: unknown }) => void;
};

/**
 * The emulator's database: one SQLite file, locked by the process that has it open. Writes that arrive together are
 * committed together, with one fsync.
 */
export class Store {
  readonly folder: string;
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #pending: Pending[] = [];
  #durable = true;

  /** Opens or creates the database. Throws SQLite's "database is locked" when another process has it. */
  constructor(folder: string) {
    this.folder = folder;
    this.#db = new DatabaseSync(join(folder, "emulator.sqlite"));
    this.#db.exec(`
      PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
      PRAGMA journal_size_limit = 67108864; BEGIN IMMEDIATE; ${SCHEMA} COMMIT`);
  }

  get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#prepare(sql).get(...values);
  }

  all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#prepare(sql).all(...values);
  }

  /** Runs a statement that changes rows; only inside an operation given to `write`. */
  change(sql: string, ...values: SQLInputValue[]): { readonly changes: number; readonly rowid: number } {
    const { changes, lastInsertRowid } = this.#prepare(sql).run(...values);
    return { changes: Number(changes), rowid: Number(lastInsertRowid) };
  }

  /**
   * Runs a synchronous operation, all or nothing, and resolves once it is committed. A durable one is then on disk; one
   * that is not survives a kill, but perhaps not a power cut.
   */
  write<T>(operation: () => T, { durable = true } = {}): Promise<T> {
    return new Promise((resolve, reject) => {
      let answer = () => {};
      const apply = () => {
        this.#db.exec("SAVEPOINT operation");
        try {
          const value = operation();
          answer = () => resolve(value);
        } catch (error) {
          this.#db.exec("ROLLBACK TO operation");
          answer = () => reject(asApiError(error, this.folder));
        }
        this.#db.exec("RELEASE operation");
      };
      const settle: Pending["settle"] = (failure) => (failure ? reject(failure.error) : answer());
      if (this.#pending.push({ durable, apply, settle }) === 1) setImmediate(() => this.#flush());
    });
  }

  close(): void {
    this.#pending = [];
    if (this.#db.isOpen) this.#db.close();
  }

  #flush(): void {
    const batch = this.#pending;
    this.#pending = [];
    if (batch.length === 0) return;
    try {
      this.#setDurable(batch.some(({ durable }) => durable));
      this.#db.exec("BEGIN IMMEDIATE");
      for (const { apply } of batch) apply();
      this.#db.exec("COMMIT");
    } catch (error) {
      // After some errors SQLite has rolled back by itself.
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      for (const { settle } of batch) settle({ error: asApiError(error, this.folder) });
      return;
    }
    for (const { settle } of batch) settle();
  }

  // NORMAL leaves the WAL unsynced until the next FULL commit, which syncs all that came before.
  #setDurable(durable: boolean): void {
    if (durable === this.#durable) return;
    this.#db.exec(`PRAGMA synchronous = ${durable ? "FULL" : "NORMAL"}`);
    this.#durable = durable;
  }

  #prepare(sql: string): StatementSync {
    const prepared = this.#statements.get(sql);
    if (prepared) return prepared;
    const statement = this.#db.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

function damaged(column: string): CorruptData {
  return new CorruptData(`emulator.sqlite: column ${column} has an unexpected value`);
}

export function textOf(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== "string") throw damaged(column);
  return value;
}

export function numberOf(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== "number") throw damaged(column);
  return value;
}

export function bytesOf(row: Row, column: string): Buffer {
  const value = row[column];
  if (!(value instanceof Uint8Array)) throw damaged(column);
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

/** Parses a column that has JSON. */
export function jsonOf<T>(row: Row, column: string, schema: z.ZodType<T>): T {
  const parsed = schema.safeParse(JSON.parse(textOf(row, column)));
  if (!parsed.success) throw damaged(column);
  return parsed.data;
}
