import { at } from "../../protocol/required.ts";

/** Formats numbers for people. */

/** `12,900` */
export const count = (n: number): string => Math.round(n).toLocaleString("en-US");

/** `1 worker`, `2,000 workers` */
export const several = (n: number, noun: string): string => `${count(n)} ${noun}${n === 1 ? "" : "s"}`;

/** Four significant digits: `2.512`, `0.02134`, `1.234e-8`; `-` when there is no loss. */
export const loss = (value: number | null | undefined): string =>
  value === null || value === undefined ? "-" : value.toPrecision(4);

/** `0.8s`, `42s`, `2m10s`, `1h05m`, `3d02h` */
export function duration(ms: number): string {
  if (ms < 10_000) return `${(Math.max(0, ms) / 1000).toFixed(1)}s`;
  const seconds = Math.round(ms / 1000);
  const two = (n: number) => String(n).padStart(2, "0");
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h${two(Math.floor(seconds / 60) % 60)}m`;
  return `${Math.floor(seconds / 86_400)}d${two(Math.floor(seconds / 3600) % 24)}h`;
}

/** One decimal below 100, so that half a millisecond does not show as 0. */
export const milliseconds = (ms: number): string => (ms < 100 ? ms.toFixed(1) : count(ms));

/** Three significant digits and a unit prefix: `810 k`, `1.24 M`. */
export function short(n: number): string {
  const units = ["", " k", " M", " G", " T"];
  const power = n < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(n) / 3));
  const scaled = n / 1000 ** power;
  const digits = power === 0 || scaled >= 100 ? 0 : scaled >= 10 ? 1 : 2;
  return `${scaled.toFixed(digits)}${at(units, power, "the unit")}`;
}
