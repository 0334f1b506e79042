import { setTimeout as sleep } from "node:timers/promises";
import { log } from "../cloud/log.ts";
import type { Environment } from "../protocol/environment.ts";
import { TryAgain } from "../protocol/errors.ts";

const POLL_MS = 5_000;
const ANSWER_MS = 2_000;
const TOKEN_SECONDS = 21_600;

/** True for a Batch job in a container, on an instance whose metadata says when it is reclaimed. */
export function runsOnBatch(env: Environment): boolean {
  return env.AWS_BATCH_JOB_ID !== undefined && env.ECS_CONTAINER_METADATA_URI_V4 !== undefined;
}

/**
 * Waits for the notice that EC2 gives two minutes before it reclaims a Spot instance.
 *
 * @returns the notice, as the instance's metadata has it
 */
export async function spotNotice(env: Environment): Promise<string> {
  const metadata = new InstanceMetadata(env.AWS_EC2_METADATA_SERVICE_ENDPOINT || "http://169.254.169.254");
  for (let wasSilent = false; ; await sleep(POLL_MS)) {
    try {
      const notice = await metadata.get("spot/instance-action");
      if (notice !== null) return notice;
      wasSilent = false;
    } catch (error) {
      if (!wasSilent) log.warn("the instance's metadata does not answer", { error });
      wasSilent = true;
    }
  }
}

/**
 * Reads the metadata of the EC2 instance that this process runs on, version 2: each read needs a token. By hand, since
 * `@aws-sdk/ec2-metadata-service` opens a new pool of connections for each request and never closes it, and after one
 * request for a token without an answer asks for no token any more.
 */
class InstanceMetadata {
  readonly #endpoint: string;
  #token: string | null = null;

  constructor(endpoint: string) {
    this.#endpoint = endpoint.replace(/\/$/, "");
  }

  /** @returns null when there is no such entry */
  async get(entry: string): Promise<string | null> {
    this.#token ??= await this.#fetchToken();
    const headers = { "x-aws-ec2-metadata-token": this.#token };
    const answer = await this.#ask(`meta-data/${entry}`, { headers });
    const text = await answer.text();
    if (answer.ok) return text;
    if (answer.status === 401) this.#token = null;
    if (answer.status === 404) return null;
    throw new TryAgain(`${entry}: HTTP status ${answer.status}`);
  }

  async #fetchToken(): Promise<string> {
    const headers = { "x-aws-ec2-metadata-token-ttl-seconds": String(TOKEN_SECONDS) };
    const answer = await this.#ask("api/token", { method: "PUT", headers });
    if (!answer.ok) throw new TryAgain(`api/token: HTTP status ${answer.status}`);
    return answer.text();
  }

  #ask(path: string, request: RequestInit): Promise<Response> {
    const signal = AbortSignal.timeout(ANSWER_MS);
    return fetch(`${this.#endpoint}/latest/${path}`, { ...request, signal });
  }
}
