import { loadBackend } from "../../ml/tensorflow/load.ts";
import { Bug, describe } from "../../protocol/errors.ts";
import type { ProbeAnswer } from "./backend.ts";

/** Loads a backend and returns its description for the parent process. */
async function probe(wanted: string | undefined, device: string | undefined): Promise<ProbeAnswer> {
  try {
    if (device !== "auto" && device !== "cpu" && device !== "gpu") throw new Bug(`no device ${device}`);
    if (wanted !== "auto" && wanted !== "tensorflow" && wanted !== "wasm")
      throw new Bug(`no backend ${wanted}`);
    const { tf: _, ...backend } = await loadBackend(wanted, { device });
    return { backend };
  } catch (error) {
    return { error: describe(error) };
  }
}

process.send?.(await probe(process.argv[2], process.argv[3]), () => process.exit());
