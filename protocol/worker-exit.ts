/** Exit statuses of a worker process, by which the retry rules of a Batch job definition decide. */
export const workerExit = {
  /** There is nothing more to do. */
  done: 0,
  /** An unexpected error, which is in its log. Another process may succeed. */
  crashed: 1,
  /** No worker can work for this job; the job has been ended with the reason. */
  refused: 78,
  /** It was told to stop (SIGTERM, or the end of its parent) and gave its lease back. */
  stopped: 143,
} as const;
