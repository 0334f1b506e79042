import { elements } from "../../protocol/safetensors.ts";
import { openCheckpoint } from "../../worker/checkpoint.ts";
import type { ModelParameter } from "../../worker/models/model.ts";

/** A checkpoint directory with the values of its parameters. */
export async function readCheckpoint(directory: string) {
  const checkpoint = await openCheckpoint(directory);
  try {
    const parameters: (ModelParameter & { values: Float32Array })[] = [];
    for (const parameter of checkpoint.parameters) {
      const values = await checkpoint.read(parameter.name, new Float32Array(elements(parameter.shape)));
      parameters.push({ ...parameter, values });
    }
    return { ...checkpoint, parameters };
  } finally {
    await checkpoint.close();
  }
}
