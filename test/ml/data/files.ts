import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after } from "node:test";
import type { PrepareOptions } from "../../../ml/data/prepare-options.ts";
import { prepareText } from "../../../ml/data/prepare-text.ts";
import type { Sources } from "../../../ml/data/source-file.ts";
import { openTokenizer } from "../../../ml/tokenizers/open-tokenizer.ts";
import { tokensOf } from "../../support/models.ts";

/** Files of one test, read as a dataset. */

const root = mkdtempSync(join(tmpdir(), "ps-kinds-"));
after(() => rmSync(root, { recursive: true, force: true }));
let folders = 0;

/** Files in a folder of their own; returns its path. */
export function folderOf(files: Readonly<Record<string, string | Uint8Array>>): string {
  const folder = join(root, String(folders++));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  return folder;
}

export const fileOf = (name: string, content: string | Uint8Array): string =>
  join(folderOf({ [name]: content }), name);

type Options = Partial<PrepareOptions>;
export const prepare = (path: string, options: Options = {}) =>
  prepareText({ path, tokenizer: "byte", cache: join(root, "cache"), ...options });

/** The documents of a path, and the names that were left out. */
export async function read(path: string, options: Options = {}) {
  let sources: Sources | undefined;
  const dataset = await prepare(path, {
    ...options,
    onSources: (found) => {
      sources = found;
    },
  });
  const text = openTokenizer(dataset.files, "tokenizer.json").decode(tokensOf(dataset));
  const leftOut = sources?.leftOut.map(({ name }) => name.slice(path.length + 1)).sort();
  return { documents: text.split("<|endoftext|>").slice(0, -1), leftOut, meta: dataset.meta };
}

export const refuse = (path: string, message: RegExp, options: Options = {}) =>
  assert.rejects(prepare(path, options), { name: "InvalidInput", message });

export const uint16 = (ids: readonly number[]) => new Uint8Array(Uint16Array.from(ids).buffer);
export const uint32 = (ids: readonly number[]) => new Uint8Array(Uint32Array.from(ids).buffer);
export const some = (below: number) => Array.from({ length: 2000 }, (_, i) => (i * 7919 + 13) % below);
