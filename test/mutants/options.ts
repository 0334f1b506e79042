import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { sha256 } from "../../protocol/digest.ts";
import type { Mutant } from "./mutant.ts";
import { mutants } from "./mutants.ts";

export const USAGE = `usage: npm run mutants [-- OPTIONS]
  --random COUNT  so many of them, picked at random
  --seed SEED     which ones: a number that an earlier run printed
  --only TEXT     those whose name or file has this text
  --lanes COUNT   how many are tried side by side (default: 2)`;

export type Options = {
  readonly picked: readonly Mutant[];
  /** Of the pick; null when nothing was left to chance. */
  readonly seed: number | null;
  readonly lanes: number;
};

/** @throws Error naming an option that is wrong */
export function readOptions(args: readonly string[]): Options {
  const text = { type: "string" } as const;
  const options = { random: text, seed: text, only: text, lanes: text };
  const { values } = parseArgs({ args: [...args], options });
  const { random, only = "" } = values;
  const named = mutants.filter(({ name, file }) => name.includes(only) || file.includes(only));
  if (named.length === 0) throw new Error(`--only must be part of a mutant's name or file, got ${only}`);
  const lanes = count("--lanes", values.lanes ?? "2");
  if (random === undefined) return { picked: named, seed: null, lanes };
  const seed = values.seed === undefined ? randomInt(2 ** 31) : count("--seed", values.seed);
  return { picked: pickAtRandom(named, count("--random", random), seed), seed, lanes };
}

function count(option: string, given: string): number {
  const number = Number(given);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new Error(`${option} must be a whole number above 0, got ${given}`);
}

/** Picks some of a list, in an order that depends on the seed. */
export function pickAtRandom(list: readonly Mutant[], count: number, seed: number): Mutant[] {
  const draw = ({ name }: Mutant) => sha256(`${seed} ${name}`);
  const drawn = list.map((mutant) => ({ mutant, draw: draw(mutant) }));
  return drawn
    .toSorted((a, b) => (a.draw < b.draw ? -1 : 1))
    .slice(0, count)
    .map(({ mutant }) => mutant);
}
