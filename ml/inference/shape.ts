import { InvalidInput } from "../../protocol/errors.ts";
import type { DecoderShape } from "../models/decoder-shape.ts";
import type { Family, ModelConfig } from "../models/family.ts";

/** @throws InvalidInput for a family that does not predict what comes next */
export function decoderShape({ type, decoder }: Family, config: ModelConfig): DecoderShape {
  if (decoder) return decoder(config);
  throw new InvalidInput(`a ${type} model does not predict what comes next, so it can't generate text`);
}
