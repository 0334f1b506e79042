import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import type { JobSpec } from "../../protocol/job.ts";
import { makeTemporaryFolder } from "../../protocol/temporary-folder.ts";
import type { TargetAddress } from "../targets/address.ts";
import { codeOfSignal, exitCodes } from "../terminal/exit.ts";
import { print } from "../terminal/print.ts";
import { inSchemaOrder } from "./field-order.ts";
import type { LoadedJobFile } from "./job-file.ts";
import { prepareJob } from "./prepare-job.ts";
import { withTokenizingProgress } from "./tokenizing-progress.ts";

/**
 * Prints a job with every default filled in, as a job file. Tokenizes its text, since the number of shards depends on the
 * vocabulary. Without a cache of tokenized texts it uses a temporary folder.
 *
 * @returns the exit code
 * @throws InvalidInput with every problem found
 */
export async function printJob(
  file: LoadedJobFile,
  { cache, environment }: Pick<TargetAddress, "cache" | "environment">,
): Promise<number> {
  const temporary = existsSync(cache) ? null : makeTemporaryFolder("print");
  try {
    const prepared = await withTokenizingProgress((watching) =>
      prepareJob(file, { ...watching, environment, cache: temporary ?? cache }),
    );
    if ("signal" in prepared) return codeOfSignal(prepared.signal);
    print([JSON.stringify(inSchemaOrder(asWritten(prepared.done.spec)), null, 2)]);
    return exitCodes.succeeded;
  } finally {
    if (temporary !== null) await rm(temporary, { recursive: true, force: true });
  }
}

/** Leaves out the fields that a submission adds to the user's model. */
function asWritten(spec: JobSpec): JobSpec {
  const { model } = spec;
  switch (model.type) {
    case "pretrained":
      return { ...spec, model: { ...model, digest: undefined, config: undefined } };
    case "module":
      return { ...spec, model: { ...model, digest: undefined } };
    default:
      return spec;
  }
}
