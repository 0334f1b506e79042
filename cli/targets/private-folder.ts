import { statSync } from "node:fs";
import { InvalidInput } from "../../protocol/errors.ts";

const OTHERS_MAY_WRITE = 0o022;

/**
 * Refuses a folder that somebody else can change: programs and texts are taken from it. One that is not there yet is
 * made for its owner only.
 *
 * @throws InvalidInput with the command that mends it
 */
export function requirePrivate(folder: string, what: string, variable: string): void {
  const info = statSync(folder, { throwIfNoEntry: false });
  const user = process.getuid?.();
  if (!info || user === undefined) return;
  if (info.uid !== user) {
    throw new InvalidInput(
      `${what} ${folder} belongs to another user (uid ${info.uid}), who could put programs into it; set ${variable} to a folder of your own`,
    );
  }
  if ((info.mode & OTHERS_MAY_WRITE) === 0) return;
  const mode = (info.mode & 0o777).toString(8);
  throw new InvalidInput(
    `${what} ${folder} must be writable by you only, its mode is ${mode}; run: chmod go-w '${folder}'`,
  );
}
