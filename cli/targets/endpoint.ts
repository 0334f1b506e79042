import { join } from "node:path";
import { connect } from "../../cloud/connect.ts";
import { describe, Unrecoverable } from "../../protocol/errors.ts";
import { cacheDirectory } from "../../scripts/cache-directory.mjs";
import { homeOf, type Place } from "./address.ts";
import { Claims } from "./claims.ts";
import { type Access, createResources } from "./resources.ts";
import type { LocalTarget } from "./target.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** Opens an S3 and SQS that someone else runs, such as LocalStack; functions and workers run on this machine. */
export async function openEndpoint(
  place: Extract<Place, { kind: "endpoint" }>,
  env: Env = process.env,
): Promise<LocalTarget> {
  const { endpoint } = place;
  const environment = await createResources(accessTo(endpoint, env)).catch((error: unknown) =>
    unreachable(endpoint, error),
  );
  const cloud = connect(environment);
  const home = homeOf(place);
  const claims = new Claims(join(home, "claims"));
  return {
    kind: "endpoint",
    where: `on ${endpoint}`,
    home,
    cache: cacheDirectory(env),
    cloud,
    environment,
    claim: async (job) => claims.claim(job),
    running: async () => claims.taken(),
    // A claim on this target is a lock on a file, which is never lost.
    revive: async () => {},
    close: () => cloud.close(),
  };
}

/** Emulators take any key; one that checks them finds the user's in the environment. */
function accessTo(endpoint: string, env: Env): Access {
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: token } = env;
  const keys =
    id && secret
      ? { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, ...(token && { AWS_SESSION_TOKEN: token }) }
      : { AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test" };
  return { AWS_REGION: env.AWS_REGION || "us-east-1", AWS_ENDPOINT_URL: endpoint, ...keys };
}

function unreachable(endpoint: string, error: unknown): never {
  const code = (error as { code?: unknown }).code;
  if (typeof code !== "string" || !/^(ECONN|ENOTFOUND|EAI_|ETIMEDOUT|EHOST)/.test(code)) throw error;
  throw new Unrecoverable(
    `${endpoint} does not answer (${describe(error)}); start LocalStack there (npm run localstack), or leave --endpoint-url (AWS_ENDPOINT_URL) out to run without`,
    { cause: error },
  );
}
