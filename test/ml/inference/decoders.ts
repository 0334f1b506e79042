import { Decoder } from "../../../ml/inference/decoder.ts";
import { compileKernels } from "../../../ml/inference/kernels.ts";
import { decoderShape } from "../../../ml/inference/shape.ts";
import type { Texts } from "../../../ml/inference/shared-decoder.ts";
import { loadSharedWeights } from "../../../ml/inference/shared-weights.ts";
import type { ThreadPool } from "../../../ml/inference/thread-pool.ts";
import { sampleValues } from "../../support/models.ts";
import type { Sample } from "../models/families.ts";

const module = compileKernels();

/**
 * A decoder with a sample's parameters.
 *
 * @param texts by default the sample's own
 * @param maxBytes of one memory
 */
export async function decoderOf(
  { family, config, ids }: Sample,
  pool: ThreadPool,
  { texts, maxBytes }: { readonly texts?: Texts; readonly maxBytes?: number } = {},
): Promise<Decoder> {
  const parameters = family.parameters(config);
  const values = new Map(parameters.map((each) => [each.name, sampleValues(each)]));
  const shape = decoderShape(family, config);
  const read = async (name: string, into: Float32Array) => {
    into.set(values.get(name) ?? []);
    return into;
  };
  const weights = await loadSharedWeights({ parameters, read }, shape, maxBytes);
  const own = { count: ids.length, length: ids[0]?.length ?? 0 };
  return new Decoder({ shape, weights, module }, pool, texts ?? own);
}
