import "../../cloud/buffers.ts";
import { setTimeout as sleep } from "node:timers/promises";
import { awakeNow } from "../../protocol/awake-time.ts";
import { InvalidInput } from "../../protocol/errors.ts";
import { findEmulator } from "./address.ts";
import { startEmulator } from "./server.ts";

const START_DEADLINE_MS = 10_000;

/** Reads a whole number from the environment; undefined when it is not set. */
function wholeNumber(name: string): number | undefined {
  const text = process.env[name];
  if (text === undefined || text === "") return undefined;
  if (!/^\d+$/.test(text)) throw new InvalidInput(`${name} must be a whole number, got ${text}`);
  return Number(text);
}

const SQLITE_BUSY = 5;

function isLocked(error: unknown): boolean {
  return error instanceof Error && "errcode" in error && error.errcode === SQLITE_BUSY;
}

/** Runs the emulator, unless one that answers runs on the folder already. */
async function main(dataDir: string): Promise<void> {
  const options = { dataDir, port: wholeNumber("PS_PORT"), idleSeconds: wholeNumber("PS_IDLE_SECONDS") };
  const deadline = awakeNow() + START_DEADLINE_MS;
  for (;;) {
    try {
      const { endpoint, close } = await startEmulator({ ...options, onClose: () => process.exit(0) });
      for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, close);
      console.log(`The emulator listens on ${endpoint}, its data is in ${dataDir}`);
      return;
    } catch (error) {
      if (!isLocked(error)) throw error;
      const running = await findEmulator(dataDir);
      if (running) return console.log(`An emulator is running on ${dataDir} already: ${running.endpoint}`);
      // Another process has the database open and does not answer: it is starting or ending.
      if (awakeNow() > deadline) throw error;
      await sleep(20);
    }
  }
}

// Only its user may read the data.
process.umask(0o077);
// A write past a file size limit must fail, not end the process.
process.on("SIGXFSZ", () => {});
await main(process.env.PS_DATA_DIR || ".ps");
