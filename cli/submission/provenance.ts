import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Provenance } from "../../protocol/records.ts";
import { packageDirectory } from "../targets/paths.ts";
import type { ProbedBackend } from "./backend.ts";

/** The provenance of a job that this machine's workers train: all that its result depends on besides its spec. */
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

/** The provenance of a job that a stack's workers train. It names their image, and nothing of this machine. */
export function stackProvenance(device: "cpu" | "gpu", image: string): Provenance {
  return {
    createdAt: new Date().toISOString(),
    version: packageVersion(),
    node: `v${packageFile().dependencies.node}`,
    platform: "linux-x64",
    backend: "tensorflow",
    device,
    library: image,
    flags: {},
  };
}

export const packageVersion = (): string => packageFile().version;

/** Reads our package.json without a schema, since the command line then starts sooner. */
export function packageFile() {
  const text = readFileSync(join(packageDirectory(), "package.json"), "utf8");
  return JSON.parse(text) as {
    readonly version: string;
    readonly engines: { readonly node: string };
    readonly dependencies: { readonly node: string };
  };
}
