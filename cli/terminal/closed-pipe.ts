const closed = new AbortController();
let listening = false;

/** Aborted when standard output is closed, as by `| head`: further output would be lost. */
export function closedPipe(): AbortSignal {
  if (!listening) {
    listening = true;
    process.stdout.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE" || error.code === "EIO") closed.abort();
    });
  }
  return closed.signal;
}
