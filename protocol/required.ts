import { CorruptData } from "./errors.ts";

/**
 * Returns a value that must be there: a field of a service's answer, an entry of a map.
 *
 * @param what names the value in the error
 * @throws CorruptData when it is null or undefined
 */
export function required<T>(value: T, what: string): NonNullable<T> {
  if (value === undefined || value === null) throw new CorruptData(`${what} is missing`);
  return value;
}

/**
 * Returns the element at an index that must be there. Not for inner loops.
 *
 * @param what names the element in the error
 * @throws CorruptData when the array has no such element
 */
export function at<T>(array: ArrayLike<T>, index: number, what: string): NonNullable<T> {
  const value = array[index];
  if (value !== undefined && value !== null) return value;
  throw new CorruptData(`${what} (index ${index} of ${array.length}) is missing`);
}
