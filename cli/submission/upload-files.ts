import type { Store } from "../../cloud/store.ts";
import type { Folder } from "../../ml/huggingface/folder.ts";
import { InvalidInput } from "../../protocol/errors.ts";
import { uploadLine } from "../terminal/upload-line.ts";

/** A file of the user's that is an input of a job, and the key under which it is stored. */
export type UploadedFile = {
  readonly key: string;
  readonly folder: Folder;
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** Is checked while the file is sent. */
  readonly sha256?: string;
};

/** Stores the files that are not there yet, with progress on the terminal. Resumes an upload that was cut short. */
export async function uploadFiles(store: Store, files: readonly UploadedFile[]): Promise<void> {
  const stored = new Set<string>();
  for (const folder of new Set(files.map(({ key }) => key.slice(0, key.lastIndexOf("/") + 1)))) {
    for (const { key } of await store.list(folder)) stored.add(key);
  }
  const missing = files.filter(({ key }) => !stored.has(key));
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
