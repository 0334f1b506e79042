import { type EmbeddedAddress, type EndpointAddress, parseAddress } from "../../cli/targets/address.ts";
import { type Environment, variable } from "../../protocol/environment.ts";

/** Addresses of targets whose data and logs are in a folder of a test. */

export function embeddedIn(dataDir: string): EmbeddedAddress {
  const address = parseAddress({}, { PS_DATA_DIR: dataDir });
  if (address.kind !== "embedded") throw new Error(`this is an address of the ${address.kind} target`);
  return address;
}

export function endpointIn(dataDir: string, endpoint: string): EndpointAddress {
  const environment = { ...process.env, PS_STACK: undefined, PS_DATA_DIR: dataDir };
  const address = parseAddress({ endpointUrl: endpoint }, environment);
  if (address.kind !== "endpoint") throw new Error(`this is an address of the ${address.kind} target`);
  return address;
}

/** Picks what a command line needs of a target's environment to reach its S3 and SQS as an endpoint. */
export function accessOf(environment: Environment) {
  return {
    AWS_REGION: variable(environment, "AWS_REGION"),
    AWS_ENDPOINT_URL: variable(environment, "AWS_ENDPOINT_URL"),
    AWS_ACCESS_KEY_ID: variable(environment, "AWS_ACCESS_KEY_ID"),
    AWS_SECRET_ACCESS_KEY: variable(environment, "AWS_SECRET_ACCESS_KEY"),
  };
}
