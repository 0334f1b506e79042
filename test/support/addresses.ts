import { type EmbeddedAddress, type EndpointAddress, parseAddress } from "../../cli/targets/address.ts";

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
