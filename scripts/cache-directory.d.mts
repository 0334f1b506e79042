/** Returns the folder for everything that can be made again: $PS_CACHE_DIR, or one under the user's cache folder. */
export function cacheDirectory(env?: Readonly<Record<string, string | undefined>>): string;
