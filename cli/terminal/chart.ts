import { at } from "../../protocol/required.ts";

/** Charts made of characters. */

const HEIGHTS = "▁▂▃▄▅▆▇█";
const EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** A curve of `width` characters; each shows the mean of its share of the values. */
export function sparkline(values: readonly number[], width: number): string {
  const finite = values.filter(Number.isFinite);
  const columns = Math.min(width, finite.length);
  const means = Array.from({ length: columns }, (_, i) => {
    const part = finite.slice(
      Math.floor((i * finite.length) / columns),
      Math.floor(((i + 1) * finite.length) / columns),
    );
    return part.reduce((sum, value) => sum + value, 0) / part.length;
  });
  const low = Math.min(...means);
  const range = Math.max(...means) - low || 1;
  return means.map((mean) => HEIGHTS[Math.round(((mean - low) / range) * (HEIGHTS.length - 1))]).join("");
}

/** A bar of `width` characters, filled with a precision of an eighth of a character. */
export function bar(share: number, width: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * width * 8);
  const whole = Math.floor(eighths / 8);
  const filled = "█".repeat(whole) + at(EIGHTHS, eighths % 8, "the part of a character");
  return filled + "░".repeat(width - filled.length);
}
