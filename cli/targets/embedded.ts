import { existsSync } from "node:fs";
import { join } from "node:path";
import type { EmbeddedAddress } from "./address.ts";
import { localTarget } from "./local.ts";
import type { LocalTarget, Target } from "./target.ts";

/** S3 and SQS kept in a folder of this machine, by an emulator that runs while a command needs it. */
export function embeddedTarget(address: EmbeddedAddress): Target {
  const { dataDir } = address;
  return localTarget({
    address,
    home: dataDir,
    hasJobs: () => existsSync(join(dataDir, "emulator.json")),
    open: () => openEmbedded(address),
    checkAccess: async () => (await import("../doctor/local-access.ts")).checkEmbedded(address, openEmbedded),
  });
}

/** Loads the AWS SDK only now. */
async function openEmbedded(address: EmbeddedAddress): Promise<LocalTarget> {
  return (await import("./open-embedded.ts")).openEmbedded(address);
}
