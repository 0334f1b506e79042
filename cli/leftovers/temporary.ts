import { abandonedFolders, removeAbandoned } from "../../protocol/temporary-folder.ts";
import type { Leftover } from "./leftover.ts";

/** Returns the temporary folders of commands and workers that were killed. */
export const temporaryFolders = (): Leftover[] =>
  abandonedFolders().map((folder) => ({
    parts: [`temporary folder ${folder}`],
    why: "its process was killed",
    remove: async () => removeAbandoned(folder),
  }));
