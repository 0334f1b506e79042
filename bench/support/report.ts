import { cpus, loadavg } from "node:os";
import { Bug } from "../../protocol/errors.ts";
import { at } from "../../protocol/required.ts";

/** Returns the middle value. */
export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** Returns the value that a share of the values lies below. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return at(sorted, Math.floor(sorted.length * share), "a measured value");
}

/** The processor, its cores and Node's version. */
export function machine(): string {
  const processors = cpus();
  return `${at(processors, 0, "a processor").model}, ${processors.length} cores, Node ${process.version}`;
}

/** The load average of the last minute. */
export const load = (): number => at(loadavg(), 0, "the load average");

/** Returns an argument that must be there. */
export function argument(index: number, name: string): string {
  const value = process.argv[index + 2];
  if (value === undefined) throw new Bug(`argument ${name} is missing`);
  return value;
}

/** Prints a bench's figures below its title and the machine. */
export function report(title: string, figures: Readonly<Record<string, number>>): void {
  console.log(`${title} — ${machine()}`);
  for (const [name, value] of Object.entries(figures))
    console.log(`  ${name.padEnd(56)} ${value.toFixed(3)}`);
}
