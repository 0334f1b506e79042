import {
  ensureInstalled,
  findInstalled,
  type Installed,
  LOCALSTACK,
} from "../../scripts/python-packages.mjs";
import { type Service, startService } from "./python-service.ts";

/**
 * LocalStack's packages, if an earlier run or `npm run localstack` installed them; PS_LOCALSTACK=1 installs them (half a
 * gigabyte, a minute or two).
 *
 * @returns a sentence with the reason when they are not there
 */
export async function localstackOrReason(): Promise<Installed | string> {
  const found = findInstalled(LOCALSTACK);
  if (found) return found;
  if (process.env.PS_LOCALSTACK !== "1") {
    return `LocalStack is not installed (${LOCALSTACK.megabytes} MB); PS_LOCALSTACK=1 installs it`;
  }
  try {
    return await ensureInstalled(LOCALSTACK);
  } catch (error) {
    return `LocalStack can't be had here: ${error instanceof Error ? error.message : error}`;
  }
}

/** Starts LocalStack's S3 and SQS on a free port, empty. */
export async function startLocalstack(
  installed: Installed,
): Promise<Service & { readonly endpoint: string }> {
  const service = await startService(installed, {
    environment: (port) => ({ ...LOCALSTACK.environment, GATEWAY_LISTEN: `127.0.0.1:${port}` }),
    isReady: async (port) => (await fetch(`http://127.0.0.1:${port}/_localstack/health`)).ok,
  });
  return { ...service, endpoint: `http://127.0.0.1:${service.port}` };
}
