import { cpus } from "node:os";

/** The middle value. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** Prints a bench's figures under its title and the machine they were measured on. */
export function report(title: string, figures: Readonly<Record<string, number>>): void {
  const [cpu] = cpus();
  console.log(`${title} — ${cpu?.model}, ${cpus().length} cores, Node ${process.version}`);
  for (const [name, value] of Object.entries(figures))
    console.log(`  ${name.padEnd(56)} ${value.toFixed(3)}`);
}
