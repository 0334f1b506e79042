import { join } from "node:path";
import { InvalidInput } from "../../protocol/errors.ts";
import { dataDirectory } from "./paths.ts";

type Env = Record<string, string | undefined>;

/** Where the jobs of this command are, as the user said it. */
export type Place =
  | { readonly kind: "embedded"; readonly dataDir: string }
  | { readonly kind: "endpoint"; readonly dataDir: string; readonly endpoint: string }
  | { readonly kind: "stack"; readonly dataDir: string; readonly name: string };

/** The options that every verb has. */
export type PlaceOptions = {
  readonly stack?: string | undefined;
  readonly region?: string | undefined;
  readonly profile?: string | undefined;
  readonly endpointUrl?: string | undefined;
};

/** As `-c name=NAME` takes it; it is part of names that AWS limits to 63 and 80 characters. */
const STACK_NAME = /^[a-z0-9](?:[a-z0-9-]{0,14}[a-z0-9])?$/;

/** What `AWS_*` said before the embedded target forgot it; a source of data on S3 is read with these. */
let users: Readonly<Record<string, string>> = {};
export const usersAws = (): Readonly<Record<string, string>> => users;

/**
 * Puts the options of the command line into the environment, where `placeOf`, the AWS SDK and the processes that
 * this one starts find them.
 *
 * @returns what the user should be told of the choice; null when it needs no words
 * @throws InvalidInput when the options contradict each other
 */
export function choosePlace(options: PlaceOptions, env: Env = process.env): string | null {
  const { stack, region, profile, endpointUrl } = options;
  // In the environment an empty value is none; a script whose variable is empty must not run its job elsewhere.
  if (stack !== undefined) env.PS_STACK = checkStack(stack);
  if (endpointUrl !== undefined) env.AWS_ENDPOINT_URL = checkEndpoint(endpointUrl);
  const place = placeOf(env);
  if (place.kind === "embedded") {
    refuseIdle(options);
    forgetAws(env);
    return null;
  }
  if (profile !== undefined) useProfile(profile, env);
  if (region !== undefined) env.AWS_REGION = region;
  else if (!env.AWS_REGION && env.AWS_DEFAULT_REGION) env.AWS_REGION = env.AWS_DEFAULT_REGION;
  const told = stack !== undefined || endpointUrl !== undefined;
  return told ? null : noteOn(place);
}

/**
 * Where the environment says that jobs are: `PS_STACK`, else `AWS_ENDPOINT_URL`, else on this machine.
 *
 * @throws InvalidInput when what it says can't be
 */
export function placeOf(env: Env = process.env): Place {
  const dataDir = dataDirectory(env);
  const { PS_STACK: name, AWS_ENDPOINT_URL: endpoint } = env;
  if (name) return { kind: "stack", dataDir, name: checkStack(name) };
  return endpoint
    ? { kind: "endpoint", dataDir, endpoint: checkEndpoint(endpoint) }
    : { kind: "embedded", dataDir };
}

/** The folder where the logs of a place's jobs are kept. */
export function homeOf(place: Exclude<Place, { kind: "stack" }>): string {
  if (place.kind === "embedded") return place.dataDir;
  const { hostname, port, protocol } = new URL(place.endpoint);
  const known = port || (protocol === "https:" ? "443" : "80");
  return join(place.dataDir, "endpoints", `${hostname.replaceAll(/[^\w.-]/g, "_")}-${known}`);
}

/** A command that this one recommends, with what it needs to find the same place. */
export function command(words: string, env: Env = process.env): string {
  if (env.PS_STACK) return `npx ps-submit ${words} --stack ${env.PS_STACK}`;
  return `npx ps-submit ${words}${env.AWS_ENDPOINT_URL ? ` --endpoint-url ${env.AWS_ENDPOINT_URL}` : ""}`;
}

function checkStack(name: string): string {
  if (STACK_NAME.test(name)) return name;
  throw new InvalidInput(
    `--stack (PS_STACK) must be 1 to 16 lower-case letters, digits and dashes, with no dash at either end, got "${name}"`,
  );
}

function checkEndpoint(endpoint: string): string {
  const url = URL.parse(endpoint);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new InvalidInput(
      `--endpoint-url (AWS_ENDPOINT_URL) must be a URL such as http://localhost:4566, got "${endpoint}"`,
    );
  }
  if (url.username !== "" || url.password !== "") {
    throw new InvalidInput(
      "--endpoint-url (AWS_ENDPOINT_URL) must not hold a user's name or password, which would be shown and logged; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    );
  }
  if (/(^|\.)(amazonaws\.com(\.cn)?|api\.aws)$/.test(url.hostname)) {
    throw new InvalidInput(
      `--endpoint-url (AWS_ENDPOINT_URL) must not be AWS itself, where this runs nothing and bills you, got "${endpoint}"; use --stack NAME`,
    );
  }
  return endpoint.replace(/\/+$/, "");
}

/** A region or a profile that would be ignored is a person's mistake. */
function refuseIdle({ region, profile }: PlaceOptions): void {
  for (const [name, value] of Object.entries({ region, profile })) {
    if (value === undefined) continue;
    throw new InvalidInput(`--${name} goes with --stack NAME or --endpoint-url URL; without, jobs run here`);
  }
}

/** Named on the command line, a profile wins over keys in the environment, as with the AWS command line. */
function useProfile(profile: string, env: Env): void {
  env.AWS_PROFILE = profile;
  for (const name of ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]) delete env[name];
}

/** A user's own AWS settings are not for the embedded target; some would change how its clients behave. */
function forgetAws(env: Env): void {
  const found = Object.entries(env).flatMap(([name, value]) =>
    name.startsWith("AWS_") && value !== undefined ? [[name, value] as const] : [],
  );
  users = Object.fromEntries(found);
  for (const [name] of found) delete env[name];
}

function noteOn(place: Place): string {
  return place.kind === "stack"
    ? `on stack ${place.name}, as PS_STACK says`
    : `on ${place.kind === "endpoint" ? place.endpoint : ""}, as AWS_ENDPOINT_URL says`;
}
