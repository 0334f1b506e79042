import type { JobSpec } from "../../protocol/job.ts";
import type { Provenance } from "../../protocol/records.ts";
import { probeBackend } from "../submission/backend.ts";
import { makeProvenance } from "../submission/provenance.ts";
import { print } from "../terminal/print.ts";

/** Finds out what a job's result depends on besides its spec, when this machine's workers train it. */
export async function probeProvenance({ backend, device }: JobSpec): Promise<Provenance> {
  const probed = await probeBackend(backend, device);
  if (probed.note !== undefined) print([`note: ${probed.note}`]);
  return makeProvenance(probed);
}
