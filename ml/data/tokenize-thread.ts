import { parentPort, workerData } from "node:worker_threads";
import { Bug, describe, InvalidInput } from "../../protocol/errors.ts";
import type { Chunk } from "./chunk.ts";
import { type Pass, stepOf } from "./corpus-pass.ts";
import type { Answer } from "./tokenize-pool.ts";

/** A thread of `applyPass`: one answer for each chunk, in order. */
if (!parentPort) throw new Bug("tokenize-thread must run as a thread of tokenize-pool");
const pool = parentPort;
const step = stepOf(workerData as Pass);

function answerTo(chunk: Chunk): Answer {
  try {
    return { result: step(chunk) };
  } catch (error) {
    if (error instanceof InvalidInput) return { problems: error.problems, input: true };
    return { problems: [describe(error)], input: false };
  }
}

pool.on("message", (chunk: Chunk) => {
  const answer = answerTo(chunk);
  const arrays = "result" in answer ? Object.values(answer.result).filter(ArrayBuffer.isView) : [];
  pool.postMessage(
    answer,
    arrays.map(({ buffer }) => buffer as ArrayBuffer),
  );
});
