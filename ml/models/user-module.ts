import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, Unrecoverable } from "../../protocol/errors.ts";
import { makeTemporaryFolder } from "../../protocol/temporary-folder.ts";
import { checkUserModel } from "./user-model.ts";
import type { UserModel } from "./user-model-types.d.ts";

/**
 * Imports the file of a user's module, which runs its code, and returns the model that it exports.
 *
 * @throws Unrecoverable when it does not run, or exports no model
 */
export async function importModule(file: string, name: string): Promise<UserModel> {
  const exported: unknown = await import(pathToFileURL(file).href).catch((cause: unknown) => {
    const isImport = /Cannot find|ERR_ACCESS_DENIED|restricted/.test(`${String(cause)} ${codeOf(cause)}`);
    const hint = isImport ? "; it is one file that imports nothing but types" : "";
    throw new Unrecoverable(`${name} does not run: ${describe(cause)}${hint}`, { cause });
  });
  return checkUserModel((exported as { default?: unknown }).default, name);
}

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error ? String(error.code) : "";

/**
 * Runs the source of a user's module in this process and returns the model that it exports.
 *
 * @param source TypeScript with types that can be stripped, or JavaScript; one file that imports nothing but types
 * @param name names it in errors
 * @throws Unrecoverable when it does not run, or exports no model
 */
export async function runModule(source: Uint8Array, name: string): Promise<UserModel> {
  const folder = makeTemporaryFolder("module");
  try {
    // .mts makes it an ES module whatever package.json is near. JavaScript is TypeScript without types.
    const file = join(folder, "model.mts");
    await writeFile(file, source);
    return await importModule(file, name);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
