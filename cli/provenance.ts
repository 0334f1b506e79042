import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Provenance } from "../protocol/records.ts";
import type { ProbedBackend } from "./backend.ts";
import { packageDirectory } from "./paths.ts";

/** What a job's result depends on besides its spec, on this machine. */
export function makeProvenance({ name, device, version, flags }: ProbedBackend): Provenance {
  return {
    createdAt: new Date().toISOString(),
    version: packageVersion(),
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    backend: name,
    device,
    library: version,
    flags,
  };
}

export function packageVersion(): string {
  const json: unknown = JSON.parse(readFileSync(join(packageDirectory(), "package.json"), "utf8"));
  return String((json as { version?: unknown }).version);
}
