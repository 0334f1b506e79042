const gone = new AbortController();
let listening = false;

/** Aborted when nobody reads standard output any more, as after `| head`: going on would be for nothing. */
export function readerGone(): AbortSignal {
  if (!listening) {
    listening = true;
    process.stdout.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE" || error.code === "EIO") gone.abort();
    });
  }
  return gone.signal;
}
