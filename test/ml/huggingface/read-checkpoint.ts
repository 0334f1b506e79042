import { openCheckpoint } from "../../../ml/huggingface/checkpoint.ts";
import type { ModelParameter } from "../../../ml/models/model.ts";
import { elements } from "../../../protocol/safetensors.ts";

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
