import { loadBackend } from "../../ml/tensorflow/load.ts";
import { describe } from "../../protocol/errors.ts";
import type { ProbeAnswer } from "./backend.ts";

/** Loads a backend in a process of its own and tells its parent what it is. */
async function probe(wanted: string | undefined, device: string | undefined): Promise<ProbeAnswer> {
  try {
    if (device !== "auto" && device !== "cpu" && device !== "gpu") throw new Error(`no device ${device}`);
    if (wanted !== "auto" && wanted !== "tensorflow" && wanted !== "wasm")
      throw new Error(`no backend ${wanted}`);
    const { tf: _, ...backend } = await loadBackend(wanted, { device });
    return { backend };
  } catch (error) {
    return { error: describe(error) };
  }
}

process.send?.(await probe(process.argv[2], process.argv[3]), () => process.exit());
