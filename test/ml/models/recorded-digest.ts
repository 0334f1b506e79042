import { gpt2 } from "../../../ml/models/gpt2.ts";
import { opsOf } from "../../../ml/models/layers/ops.ts";
import { recorded } from "../../../ml/models/recorded.ts";
import { loadBackend } from "../../../ml/tensorflow/load.ts";
import { bytesOf, sha256 } from "../../../protocol/digest.ts";
import { randomParameters } from "../../support/models.ts";

/** Prints the SHA-256 of one gradient, of a model that is large enough to be shared among threads. */
const MODEL = { layers: 2, heads: 4, width: 128, context: 64, vocabulary: 65 };

const backend = await loadBackend("tensorflow");
const { tf } = backend;
const ops = opsOf(tf);
const ids = tf.tensor1d(
  Int32Array.from({ length: 512 }, (_, i) => (i * i) % 65),
  "int32",
);
const lossAndGradient = recorded(ops, (theta, batch) => gpt2.lossAndGradient(ops, MODEL, theta, batch));
const theta = randomParameters(backend, gpt2.parameters(MODEL));
const { gradient } = lossAndGradient(theta, { tokens: { ids, sequences: 8, length: 64 }, targets: ids });
process.stdout.write(sha256(...Object.values(gradient).map((x) => bytesOf(x.dataSync<"float32">()))));
