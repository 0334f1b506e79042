import "../../cloud/buffers.ts";
import { setTimeout as sleep } from "node:timers/promises";
import { findEmulator } from "./address.ts";
import { startEmulator } from "./server.ts";

const START_DEADLINE_MS = 10_000;

/** A whole number from the environment; undefined when it is not set. */
function numberFrom(name: string): number | undefined {
  const text = process.env[name];
  if (text === undefined || text === "") return undefined;
  if (!/^\d+$/.test(text)) throw new Error(`${name} must be a whole number, got ${text}`);
  return Number(text);
}

function isLocked(error: unknown): boolean {
  return error instanceof Error && "errcode" in error && error.errcode === 5;
}

/** Runs the emulator; if one runs on the folder already, says so once it has answered. */
async function main(dataDir: string): Promise<void> {
  const options = { dataDir, port: numberFrom("PS_PORT"), idleSeconds: numberFrom("PS_IDLE_SECONDS") };
  const deadline = Date.now() + START_DEADLINE_MS;
  for (;;) {
    try {
      const { endpoint, close } = await startEmulator({ ...options, onClose: () => process.exit(0) });
      for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, close);
      console.log(`The emulator listens on ${endpoint}, its data is in ${dataDir}`);
      return;
    } catch (error) {
      if (!isLocked(error)) throw error;
      const running = await findEmulator(dataDir);
      if (running) return console.log(`An emulator is running on ${dataDir} already: ${running}`);
      // The one that has the lock is starting or ending.
      if (Date.now() > deadline) throw error;
      await sleep(20);
    }
  }
}

// What is trained here is its user's business.
process.umask(0o077);
// A write over a file size limit must fail, not end the process.
process.on("SIGXFSZ", () => {});
await main(process.env.PS_DATA_DIR || ".ps");
