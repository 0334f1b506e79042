import type { Cloud } from "../../cloud/connect.ts";
import { findAssembly, modelParts } from "../../cloud/open-format.ts";
import { TryAgain } from "../../protocol/errors.ts";
import type { State } from "../../protocol/records.ts";

const TRIES = 5;

/**
 * Returns the SHA-256 of the parameters' bytes, in safetensors order, at the latest version of a job. A running job may
 * remove a version while it is read; then the next one is read.
 */
export async function fingerprint(
  cloud: Cloud,
  job: string,
): Promise<{ state: State; sha256: string | null }> {
  for (let attempt = 1; ; attempt++) {
    const { state } = await cloud.jobs.state(job);
    const { version, checkpoint } = state;
    if (version === null) return { state, sha256: null };
    if (checkpoint?.version === version) return { state, sha256: checkpoint.sha256 };
    try {
      return { state, sha256: await digestOf(cloud, job, version) };
    } catch (error) {
      if (!(error instanceof TryAgain) || attempt === TRIES) throw error;
    }
  }
}

async function digestOf(cloud: Cloud, job: string, version: number): Promise<string> {
  let digest = "";
  const assembly = await findAssembly(cloud, job, version);
  const parts = modelParts(cloud, assembly, (sha256) => {
    digest = sha256;
  });
  for await (const _ of parts);
  return digest;
}
