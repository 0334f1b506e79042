import { parentPort, workerData } from "node:worker_threads";
import { describe, InvalidInput } from "../../protocol/errors.ts";
import type { Piece } from "./chunks.ts";
import { type Pass, stepOf } from "./corpus-pass.ts";
import type { Answer } from "./tokenize-pool.ts";

/** A thread of `passOver`: one answer for each piece, in order. */
const step = stepOf(workerData as Pass);

function answerTo(piece: Piece): Answer {
  try {
    return { result: step(piece) };
  } catch (error) {
    if (error instanceof InvalidInput) return { problems: error.problems, input: true };
    return { problems: [describe(error)], input: false };
  }
}

parentPort?.on("message", (piece: Piece) => {
  const answer = answerTo(piece);
  const arrays = "result" in answer ? Object.values(answer.result as object).filter(ArrayBuffer.isView) : [];
  parentPort?.postMessage(
    answer,
    arrays.map(({ buffer }) => buffer as ArrayBuffer),
  );
});
