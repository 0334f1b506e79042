import { InvalidInput } from "./errors.ts";

/** Environment variables of a process. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Returns an environment variable that must be set.
 *
 * @throws InvalidInput when it is not set, or empty
 */
export function variable(env: Environment, name: string): string {
  const value = env[name];
  if (value !== undefined && value !== "") return value;
  throw new InvalidInput(`environment variable ${name} must be set; ps-submit sets it for what it starts`);
}

/**
 * Returns an environment variable that must be a number of at least 0, or the default when it is not set.
 *
 * @throws InvalidInput when it is something else
 */
export function numberVariable(env: Environment, name: string, byDefault: number): number {
  const value = env[name];
  if (value === undefined || value === "") return byDefault;
  const number = Number(value);
  if (Number.isFinite(number) && number >= 0) return number;
  throw new InvalidInput(`environment variable ${name} must be a number of at least 0, got "${value}"`);
}
