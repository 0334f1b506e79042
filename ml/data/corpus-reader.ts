import { availableParallelism } from "node:os";
import type { Pass, ResultOf, Separator } from "./corpus-pass.ts";
import type { PrepareOptions, Progress } from "./prepare-options.ts";
import { chunksOf } from "./read-chunks.ts";
import type { SourceFile } from "./source-file.ts";
import { applyPass } from "./tokenize-pool.ts";

/** Below this many bytes starting a thread costs more than it saves. */
const SMALL_BYTES = 8 << 20;
const MAX_THREADS = 8;

/** Reads all documents chunk by chunk, as often as asked: tokenizers are made from them, then tokens written. */
export type CorpusReader = {
  readonly documentsEnd: Separator;
  readonly signal: AbortSignal | undefined;
  /** Applies a pass to all chunks; the results come in their order. */
  apply<P extends Pass>(pass: P, what: Progress["what"]): AsyncIterable<ResultOf<P>>;
  report(progress: Progress): void;
};

export function corpusReader(options: PrepareOptions, files: readonly SourceFile[]): CorpusReader {
  const { field = "text", signal, onProgress = () => {} } = options;
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const several = files.length > 1 || files[0]?.kind !== "text";
  const cores = Math.min(availableParallelism(), MAX_THREADS);
  const threads = options.threads ?? (total < SMALL_BYTES ? 0 : cores);
  return {
    documentsEnd: several ? "newline" : "nothing",
    signal,
    report: onProgress,
    apply(pass, what) {
      let read = 0;
      const chunks = chunksOf(files, field, (bytes) => {
        read += bytes;
        onProgress({ what, share: Math.min(1, read / total) });
      });
      return applyPass(chunks, pass, { threads, signal });
    },
  };
}
