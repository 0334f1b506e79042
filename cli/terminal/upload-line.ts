import { duration } from "./format.ts";

/** A shorter upload shows no progress. */
const SHOW_AFTER_MS = 500;
const FRAME_MS = 100;

/**
 * Rewrites one line of a terminal: "uploading 41 % of 498 MB, 12.3 MB/s, 24s left". Does nothing elsewhere.
 *
 * @param total bytes of all files
 * @param now in milliseconds
 */
export function uploadLine(
  stream: Pick<NodeJS.WriteStream, "isTTY" | "write">,
  total: number,
  now: () => number = Date.now,
) {
  const started = now();
  let next = started + SHOW_AFTER_MS;
  let [done, sent, shown] = [0, 0, false];
  return {
    /** Counts a part; one that was stored before does not count for the speed. */
    show(part: { readonly bytes: number; readonly sent: boolean }): void {
      done += part.bytes;
      if (part.sent) sent += part.bytes;
      if (!stream.isTTY || now() < next) return;
      next = now() + FRAME_MS;
      shown = true;
      stream.write(`\r\x1b[K  ${describeUpload({ done, total, sent, ms: now() - started })}`);
    },
    clear(): void {
      if (shown) stream.write("\r\x1b[K");
    },
  };
}

type UploadState = {
  /** Bytes that are stored, with those of an earlier upload; more than `total` when some were sent again. */
  readonly done: number;
  readonly total: number;
  /** Bytes sent by this process, in `ms` milliseconds. */
  readonly sent: number;
  readonly ms: number;
};

export function describeUpload({ done, total, sent, ms }: UploadState): string {
  const share = `uploading ${Math.floor((100 * Math.min(done, total)) / Math.max(total, 1))} % of ${megabytes(total)} MB`;
  if (sent === 0) return share;
  const bytesPerMs = sent / ms;
  return `${share}, ${megabytes(bytesPerMs * 1000)} MB/s, ${duration(Math.max(0, total - done) / bytesPerMs)} left`;
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0);
