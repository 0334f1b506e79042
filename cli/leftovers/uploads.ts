import type { OpenTarget } from "../targets/target.ts";
import { duration } from "../terminal/format.ts";
import type { Leftover } from "./leftover.ts";

/** The same submission would continue an upload; after this long it counts as given up. */
const FORGOTTEN_MS = 86_400_000;

export async function leftUploads({ cloud: { store } }: OpenTarget, now: number): Promise<Leftover[]> {
  const time = new Date(now - FORGOTTEN_MS);
  const found = await store.unfinishedUploads(time);
  return found.map((upload) => ({
    parts: [`unfinished upload to ${upload.key}`],
    why: `it was begun ${duration(now - upload.begun.getTime())} ago, and got nothing for a day`,
    remove: () => store.removeUpload(upload, time),
  }));
}
