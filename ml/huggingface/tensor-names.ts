import type { Naming } from "../models/naming.ts";

/**
 * Returns the name of the parameter that a stored tensor is meant for; the tensor's own name when there is none.
 *
 * @param isName true for a name of a parameter, or of a copy
 */
export function canonicalName(name: string, naming: Naming, isName: (name: string) => boolean): string {
  const spelled = naming.spellings.reduce((now, [old, right]) => now.replace(old, right), name);
  const full = `${naming.prefix}${spelled}`;
  if (isName(spelled) || naming.ignored.test(spelled)) return spelled;
  return isName(full) || naming.ignored.test(full) ? full : spelled;
}
