import { lstat, mkdtemp, open, readdir, rename, rm, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { InvalidInput } from "../../protocol/errors.ts";
import { makeFolder } from "../../protocol/make-folder.ts";
import { ignoreMissing } from "../../protocol/missing.ts";

/** The draft's name begins with it. */
const DRAFT = ".ps-draft-";
/** A new ext4 disk has it. */
const OF_FILE_SYSTEM = "lost+found";

/**
 * Fills a directory with files: all of them, or none. The directory itself stays, as it may be a mount point, the goal of
 * a link, or where a shell stands: files are written to a draft within it, and moved once all are on disk.
 *
 * @param directory is made when it is not there
 * @param last the file without which the others are nothing; it is moved last
 * @param write writes files into a folder
 * @throws InvalidInput when the directory is not empty
 */
export async function fillDirectory<T>(
  directory: string,
  last: string,
  write: (draft: string) => Promise<T>,
): Promise<T> {
  await requireEmpty(directory);
  const made = makeFolder(directory, 0o777);
  const created: string[] = [];
  try {
    const draft = await mkdtemp(join(directory, DRAFT));
    created.push(draft);
    const result = await write(draft);
    const names = (await readdir(draft)).sort((a, b) => Number(a === last) - Number(b === last));
    for (const name of names) await sync(join(draft, name));
    // Another process may have written there meanwhile.
    await requireEmpty(directory);
    for (const name of names) {
      await rename(join(draft, name), join(directory, name));
      created.push(join(directory, name));
    }
    await rmdir(draft);
    await syncFolder(directory);
    return result;
  } catch (error) {
    for (const path of created) await rm(path, { recursive: true, force: true });
    if (made !== undefined) await removeFolders(directory, made);
    throw error;
  }
}

/** Returns the drafts in a directory, of processes that were killed or still write. */
export const draftsIn = async (directory: string): Promise<string[]> =>
  (await namesIn(directory)).filter((name) => name.startsWith(DRAFT));

/** @throws InvalidInput when there is anything but an empty directory, or nothing */
export async function requireEmpty(directory: string): Promise<void> {
  const names = (await namesIn(directory)).filter(
    (name) => name !== OF_FILE_SYSTEM && !name.startsWith(DRAFT),
  );
  if (names.length === 0) return;
  const files = `${names.length} file${names.length === 1 ? "" : "s"}`;
  throw new InvalidInput(`${directory} must be empty or not there, it has ${files} (${names[0]})`);
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).sort();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOTDIR") throw new InvalidInput(`${directory} must be a directory, it is a file`);
    if (code !== "ENOENT") throw error;
    const link = await lstat(directory).catch(ignoreMissing);
    if (link === undefined) return [];
    throw new InvalidInput(`${directory} must be a directory, it is a link to what is not there`);
  }
}

async function sync(path: string): Promise<void> {
  const file = await open(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Some file systems have no sync of a folder. */
async function syncFolder(path: string): Promise<void> {
  await sync(path).catch((error: NodeJS.ErrnoException) => {
    if (!["EINVAL", "ENOTSUP", "EISDIR", "EPERM"].includes(error.code ?? "")) throw error;
  });
}

/** Removes a folder and those above it up to `topmost`, unless something is in them. */
async function removeFolders(folder: string, topmost: string): Promise<void> {
  for (let path = folder; ; path = dirname(path)) {
    const removed = await rmdir(path).then(
      () => true,
      () => false,
    );
    if (!removed || path === topmost) return;
  }
}
