import { appendFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";

/**
 * Preloaded (`--import`) into the emulator: writes a line to the file `PS_SYNCS` for each file or folder that it syncs,
 * and for each commit, with what SQLite then does: at FULL it syncs, at NORMAL it does not. The code under test knows
 * nothing of it.
 */

const record = (line: string) => appendFileSync(process.env.PS_SYNCS ?? "", `${line}\n`);

const handle = await open(process.execPath);
const handles = Object.getPrototypeOf(handle);
await handle.close();
const { sync } = handles;
handles.sync = async function (this: typeof handle) {
  await sync.call(this);
  record((await this.stat()).isDirectory() ? "folder" : "file");
};

const LEVELS = ["OFF", "NORMAL", "FULL", "EXTRA"];
const { exec } = DatabaseSync.prototype;
DatabaseSync.prototype.exec = function (this: DatabaseSync, sql: string) {
  if (sql === "COMMIT") {
    const level = this.prepare("PRAGMA synchronous").get()?.synchronous;
    record(`commit at ${LEVELS[Number(level)]}`);
  }
  exec.call(this, sql);
};
