import { join } from "node:path";
import { connect } from "../../cloud/connect.ts";
import { describe, Unrecoverable } from "../../protocol/errors.ts";
import { type EndpointAddress, type Environment, folderOfEndpoint } from "./address.ts";
import { Claims } from "./claims.ts";
import { isUnreachable } from "./network.ts";
import { openLocalTarget } from "./open-local.ts";
import { type Access, createResources } from "./resources.ts";
import type { LocalTarget } from "./target.ts";

/** Opens an endpoint, making the bucket and the queues of jobs there. */
export async function openEndpoint(address: EndpointAddress): Promise<LocalTarget> {
  const { endpoint } = address;
  const environment = await createResources(accessTo(address)).catch((error: unknown) =>
    explainUnreachable(endpoint, error),
  );
  const cloud = connect(environment);
  const home = folderOfEndpoint(address);
  const claims = new Claims(join(home, "claims"));
  return openLocalTarget({
    isLost: async () => false,
    address,
    home,
    cloud,
    environment,
    claim: async (job) => claims.claim(job),
    running: async () => claims.taken(),
    // A claim on this target is a lock on a file, which is never lost.
    revive: async () => {},
    close: () => cloud.close(),
  });
}

/** Emulators take any key; one that checks them finds the user's in the environment. */
function accessTo({ endpoint, environment }: EndpointAddress): Access {
  return {
    AWS_REGION: environment.AWS_REGION || "us-east-1",
    AWS_ENDPOINT_URL: endpoint,
    ...keysIn(environment),
  };
}

function keysIn(environment: Environment) {
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: token } = environment;
  if (!id || !secret) return { AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test" };
  return { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, ...(token && { AWS_SESSION_TOKEN: token }) };
}

function explainUnreachable(endpoint: string, error: unknown): never {
  if (!isUnreachable(error)) throw error;
  throw new Unrecoverable(
    `${endpoint} does not answer (${describe(error)}); start LocalStack there (npm run localstack), or leave --endpoint-url (AWS_ENDPOINT_URL) out to run without`,
    { cause: error },
  );
}
