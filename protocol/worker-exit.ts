/** How a worker process leaves: what the retry rules of a Batch job definition go by. */
export const workerExit = {
  /** There is nothing more to do. */
  done: 0,
  /** Something unforeseen; its log says what. Another process may fare better. */
  crashed: 1,
  /** It cannot work for this job, nor could another one like it; the job has been ended with the reason. */
  refused: 78,
  /** It was told to stop (SIGTERM, or the end of its parent) and gave its lease back. */
  stopped: 143,
} as const;
