import { availableParallelism } from "node:os";
import type { CutRule } from "../tokenizers/cut-rule.ts";
import type { Pass, ResultOf, Separator } from "./corpus-pass.ts";
import type { PrepareOptions, Progress } from "./prepare-options.ts";
import { CUT_ANYWHERE, chunksOf } from "./read-chunks.ts";
import type { SourceFile } from "./source-file.ts";
import { applyPass } from "./tokenize-pool.ts";

/** Below this many bytes starting a thread costs more than it saves. */
const SMALL_BYTES = 8 << 20;
const MAX_THREADS = 8;

/** Reads all documents chunk by chunk, as often as asked: tokenizers are made from them, then tokens written. */
export type CorpusReader = {
  readonly documentsEnd: Separator;
  readonly signal: AbortSignal | undefined;
  /**
   * Applies a pass to all chunks; the results come in their order.
   *
   * @param cuts where a text may be cut; default: between any two characters
   * @param part the files to read; default: all
   */
  apply<P extends Pass>(
    pass: P,
    what: Progress["what"],
    cuts?: CutRule,
    part?: SourceFile["part"],
  ): AsyncIterable<ResultOf<P>>;
  report(progress: Progress): void;
};

export function corpusReader(options: PrepareOptions, files: readonly SourceFile[]): CorpusReader {
  const { field = "text", signal, onProgress = () => {} } = options;
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const cores = Math.min(availableParallelism(), MAX_THREADS);
  const threads = options.threads ?? (total < SMALL_BYTES ? 0 : cores);
  // Somebody else's tokenizer may never return: only a thread can be ended then.
  const isForeign = typeof options.tokenizer === "object" && "file" in options.tokenizer;
  const atLeast = (pass: Pass) => (isForeign && pass.kind === "encode" ? Math.max(1, threads) : threads);
  return {
    documentsEnd: areSeveral(files) ? "newline" : "nothing",
    signal,
    report: onProgress,
    apply(pass, what, cuts = CUT_ANYWHERE, part) {
      const some = files.filter((file) => part === undefined || file.part === part);
      let read = 0;
      const onRead = (bytes: number) => {
        read += bytes;
        onProgress({ what, share: Math.min(1, read / total) });
      };
      const chunks = chunksOf(some, { field, cuts, onRead });
      return applyPass(chunks, pass, { threads: atLeast(pass), signal });
    },
  };
}

/** True when files may hold several documents: all but a text by itself. */
export const areSeveral = (files: readonly SourceFile[]): boolean =>
  files.length > 1 || files[0]?.kind !== "text";
