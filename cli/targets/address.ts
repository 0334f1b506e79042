import { join, resolve } from "node:path";
import { InvalidInput } from "../../protocol/errors.ts";
import { cacheDirectory } from "../../scripts/cache-directory.mjs";
import { requirePrivate } from "./private-folder.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

type Common = {
  /** Names the target in a sentence: "in /home/me/.ps". */
  readonly where: string;
  /** The options that lead another command to the same target: " --stack NAME". Empty for the embedded target. */
  readonly flags: string;
  /** Tells a user that the environment alone chose the target; null when an option did, or nothing. */
  readonly note: string | null;
  /** The folder of the embedded target's data, and of every target's logs on this machine. */
  readonly dataDir: string;
  /** The folder of tokenized texts and of models fetched from S3, for all projects of this user. */
  readonly cache: string;
  /** This process's environment, changed by the options. The embedded target itself uses no AWS setting in it. */
  readonly environment: Environment;
};

export type EmbeddedAddress = Common & { readonly kind: "embedded" };
export type EndpointAddress = Common & { readonly kind: "endpoint"; readonly endpoint: string };
export type StackAddress = Common & { readonly kind: "stack"; readonly stack: string };

/** Where the jobs of a command are and how they are reached: parsed once, then handed down. */
export type TargetAddress = EmbeddedAddress | EndpointAddress | StackAddress;

/** The options that every verb has. */
export type AddressOptions = {
  readonly stack?: string | undefined;
  readonly region?: string | undefined;
  readonly profile?: string | undefined;
  readonly endpointUrl?: string | undefined;
};

/** As `-c name=NAME` takes it; it is part of names that AWS limits to 63 and 80 characters. */
const STACK_NAME = /^[a-z0-9](?:[a-z0-9-]{0,14}[a-z0-9])?$/;

/**
 * Reads where jobs are: on the stack of `--stack` or `PS_STACK`, else at the endpoint of `--endpoint-url` or
 * `AWS_ENDPOINT_URL`, else on this machine. An empty variable counts as absent. An empty option is refused: a script
 * whose variable is empty must not run its job elsewhere.
 *
 * @throws InvalidInput when the options contradict each other or a value is malformed
 */
export function parseAddress(options: AddressOptions, env: Environment): TargetAddress {
  const stack = parse(options.stack, env.PS_STACK, parseStack);
  const endpoint = parse(options.endpointUrl, env.AWS_ENDPOINT_URL, parseEndpoint);
  const dataDir = resolve(env.PS_DATA_DIR || ".ps");
  const folders = { dataDir, cache: cacheDirectory(env) };
  requirePrivate(folders.cache, "the cache folder", "PS_CACHE_DIR");
  const environment = { ...environmentFor(options, env), AWS_ENDPOINT_URL: endpoint };
  const chosen = options.stack !== undefined || options.endpointUrl !== undefined;
  const note = (where: string, variable: string) => (chosen ? null : `${where}, as ${variable} says`);
  if (stack !== undefined) {
    const where = `on stack ${stack}`;
    const texts = { where, flags: ` --stack ${stack}`, note: note(where, "PS_STACK") };
    return { kind: "stack", stack, ...texts, ...folders, environment };
  }
  if (endpoint !== undefined) {
    const where = `on ${endpoint}`;
    const texts = { where, flags: ` --endpoint-url ${endpoint}`, note: note(where, "AWS_ENDPOINT_URL") };
    return { kind: "endpoint", endpoint, ...texts, ...folders, environment };
  }
  refuseUnused(options);
  return { kind: "embedded", where: `in ${dataDir}`, flags: "", note: null, ...folders, environment };
}

/** Returns a command that this one recommends, with the options that lead it to the same target. */
export const commandFor = ({ flags }: Pick<TargetAddress, "flags">, words: string): string =>
  `npx ps-submit ${words}${flags}`;

/** The folder where the logs and claims of an endpoint's jobs are kept. */
export function folderOfEndpoint({ dataDir, endpoint }: EndpointAddress): string {
  const { hostname, port, protocol } = new URL(endpoint);
  const number = port || (protocol === "https:" ? "443" : "80");
  return join(dataDir, "endpoints", `${hostname.replaceAll(/[^\w.-]/g, "_")}-${number}`);
}

function parse(
  option: string | undefined,
  variable: string | undefined,
  check: (text: string) => string,
): string | undefined {
  const text = option ?? (variable || undefined);
  return text === undefined ? undefined : check(text);
}

function parseStack(name: string): string {
  if (STACK_NAME.test(name)) return name;
  throw new InvalidInput(
    `--stack (PS_STACK) must be 1 to 16 lower-case letters, digits and dashes, with no dash at either end, got "${name}"`,
  );
}

function parseEndpoint(endpoint: string): string {
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

/** Refuses a region or a profile that would be ignored: the user expected jobs to run elsewhere. */
function refuseUnused({ region, profile }: AddressOptions): void {
  for (const [name, value] of Object.entries({ region, profile })) {
    if (value === undefined) continue;
    throw new InvalidInput(`--${name} goes with --stack NAME or --endpoint-url URL; without, jobs run here`);
  }
}

/** An option wins over variables: `--profile` also over keys, as with the AWS command line. */
function environmentFor({ region, profile }: AddressOptions, env: Environment): Environment {
  const keys = {
    AWS_ACCESS_KEY_ID: undefined,
    AWS_SECRET_ACCESS_KEY: undefined,
    AWS_SESSION_TOKEN: undefined,
  };
  return {
    ...env,
    ...(profile !== undefined && { AWS_PROFILE: profile, ...keys }),
    AWS_REGION: region ?? (env.AWS_REGION || env.AWS_DEFAULT_REGION || undefined),
  };
}
