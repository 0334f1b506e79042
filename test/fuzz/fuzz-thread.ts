import { parentPort, workerData } from "node:worker_threads";
import { isExpected } from "../../protocol/errors.ts";
import { TARGETS } from "./targets.ts";

/** Runs inputs on a target, one by one: `fuzz.ts` watches how long it takes. */
const target = await TARGETS[String(workerData)]?.();
if (!target || !parentPort) throw new Error(`there is no target ${workerData}`);
const { run } = target;
const port = parentPort;
port.on("message", async (bytes: Uint8Array) => {
  try {
    await run(bytes);
    port.postMessage(null);
  } catch (error) {
    port.postMessage(isExpected(error) ? null : error instanceof Error ? error.stack : String(error));
  }
});
port.postMessage("ready");
