import { stripVTControlCharacters } from "node:util";
import type { Progress } from "./progress.ts";
import { renderBlock } from "./render.ts";
import type { Reporter } from "./reporter.ts";
import { styleFor } from "./style.ts";

const FRAME_MS = 100;
const HIDE_CURSOR = "\x1b[?25l";
const SHOW_CURSOR = "\x1b[?25h";
const CLEAR_BELOW = "\x1b[J";

/** Repaints a block at the bottom of the terminal; events scroll above it. */
export function liveReporter(stream: NodeJS.WriteStream): Reporter {
  const style = styleFor(stream);
  let latest: Progress | null = null;
  let events: string[] = [];
  let painted = 0;
  let closed = false;
  const paint = () => {
    const block = latest === null ? [] : renderBlock(latest, Date.now(), style, stream.columns || 80);
    // A block higher than the window would scroll, and the next one could not replace it.
    const lines = block
      .slice(0, Math.max(1, (stream.rows || 24) - 1))
      .map((line) => cut(line, stream.columns || 80));
    const up = painted > 0 ? `\x1b[${painted}A` : "";
    const eventLines = events.map((text) => `  ${style("dim", "•")} ${text}\n`).join("");
    stream.write(`${up}\r${CLEAR_BELOW}${eventLines}${lines.map((line) => `${line}\n`).join("")}`);
    events = [];
    painted = lines.length;
  };
  stream.write(HIDE_CURSOR);
  const restore = () => stream.write(SHOW_CURSOR);
  process.once("exit", restore);
  const timer = setInterval(paint, FRAME_MS);
  return {
    event(text) {
      events = [...events, text];
    },
    update(progress) {
      latest = progress;
    },
    close() {
      if (closed) return;
      closed = true;
      clearInterval(timer);
      paint();
      process.off("exit", restore);
      restore();
    },
  };
}

/** Cuts a line to the width of the terminal: a line that wraps would make the block higher than its count of lines. */
function cut(line: string, columns: number): string {
  if (stripVTControlCharacters(line).length <= columns) return line;
  return stripVTControlCharacters(line).slice(0, columns - 1);
}
