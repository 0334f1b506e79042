import { type Buckets, openBuckets } from "../../cloud/buckets.ts";
import { placeOf, usersAws } from "../targets/address.ts";

/** Where the SDK finds credentials that are not in the environment itself. */
const WHERE_CREDENTIALS_ARE =
  /^AWS_(CONFIG_FILE|SHARED_CREDENTIALS_FILE|CONTAINER_|WEB_IDENTITY_|ROLE_|EC2_)/;

/**
 * The buckets that `s3://` means in `data.path`, in `model.from` and for `ps-submit data`: those of the stack's account or
 * of the endpoint that jobs run on; where jobs run on this machine, the user's own on AWS. They are only read.
 */
export function sourceBuckets(): Buckets {
  if (placeOf().kind !== "embedded") return openBuckets(process.env);
  const users = usersAws();
  // They say nothing to the embedded target's own clients, which have credentials.
  for (const [name, value] of Object.entries(users)) {
    if (WHERE_CREDENTIALS_ARE.test(name)) process.env[name] = value;
  }
  return openBuckets(users);
}
