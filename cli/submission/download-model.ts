import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Buckets } from "../../cloud/buckets.ts";
import { COMPANION_FILES } from "../../ml/huggingface/model-files.ts";
import { sha256 } from "../../protocol/digest.ts";
import { InvalidInput } from "../../protocol/errors.ts";
import { makeFolder } from "../../protocol/make-folder.ts";
import { findObjects, type S3Object } from "./s3-source.ts";

/** Bytes that one request fetches and memory holds. */
const BLOCK_BYTES = 8 << 20;

/**
 * Downloads a Hugging Face directory to a folder of the cache, unless the same objects are there already.
 *
 * @param url s3://bucket/prefix
 * @throws InvalidInput when it can't be read, or changes meanwhile
 */
export async function downloadModel(url: string, cache: string, buckets: Buckets): Promise<string> {
  const base = url.replace(/\/*$/, "/");
  const objects = (await findObjects(base, buckets)).filter((object) => isOfModel(object, base));
  if (objects.length === 0)
    throw new InvalidInput(`${url} must have config.json and model.safetensors, it has neither`);
  const state = objects.map(({ url: name, size, etag }) => [name, size, etag]);
  const directory = join(cache, "models", sha256(JSON.stringify(state)));
  if (existsSync(directory)) return directory;
  const draft = join(cache, "drafts", `${process.pid}-${randomUUID()}`);
  makeFolder(draft);
  try {
    for (const object of objects) await download(object, join(draft, basename(object.url)));
    await mkdir(join(cache, "models"), { recursive: true, mode: 0o700 });
    await rename(draft, directory).catch((error: unknown) => {
      // Another submission may have moved its download there first.
      if (!existsSync(directory)) throw error;
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return directory;
}

/** True for an object in the directory itself that `inspectDirectory` reads. */
function isOfModel({ url }: S3Object, base: string): boolean {
  const name = url.slice(base.length);
  if (name.includes("/")) return false;
  const names: readonly string[] = ["config.json", ...COMPANION_FILES];
  return names.includes(name) || /\.safetensors(\.index\.json)?$/.test(name);
}

async function download(object: S3Object, path: string): Promise<void> {
  const access = object.open();
  const file = await open(path, "wx", 0o600);
  try {
    for (let at = 0; at < object.size; at += BLOCK_BYTES) {
      const block = new Uint8Array(Math.min(BLOCK_BYTES, object.size - at));
      await access.read(block, at);
      await file.writeFile(block);
    }
    await file.sync();
  } finally {
    await access.close();
    await file.close();
  }
}
