import type { Store } from "../../cloud/store.ts";
import type { Folder } from "../../ml/huggingface/folder.ts";
import { InvalidInput } from "../../protocol/errors.ts";
import { uploadLine } from "../terminal/upload-line.ts";

/** A file of the user's that a job starts from, and where it is stored by its content. */
export type UploadedFile = {
  readonly key: string;
  readonly folder: Folder;
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** Checked while it is sent, when known. */
  readonly sha256?: string;
};

/** Stores the files that are not there yet, with progress on the terminal. A call that was cut short is taken up. */
export async function uploadFiles(store: Store, files: readonly UploadedFile[]): Promise<void> {
  const there = new Set<string>();
  for (const folder of new Set(files.map(({ key }) => key.slice(0, key.lastIndexOf("/") + 1)))) {
    for (const { key } of await store.list(folder)) there.add(key);
  }
  const missing = files.filter(({ key }) => !there.has(key));
  const total = missing.reduce((sum, { size }) => sum + size, 0);
  const line = uploadLine(process.stderr, total);
  try {
    for (const file of missing) await uploadOne(store, file, line.show);
  } finally {
    line.clear();
  }
}

type OnPart = (part: { readonly bytes: number; readonly sent: boolean }) => void;

async function uploadOne(store: Store, { key, folder, name, sha256 }: UploadedFile, onPart: OnPart) {
  const file = await folder.open(name);
  if (file === null)
    throw new InvalidInput(`${folder.name}/${name} was removed while it was read; submit again`);
  try {
    await store.createFrom(key, file, { sha256, onPart });
  } finally {
    await file.close();
  }
}
