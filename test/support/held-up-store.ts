import { S3Client } from "@aws-sdk/client-s3";
import { type CloudEnvironment, clientConfig } from "../../cloud/connect.ts";
import { Store } from "../../cloud/store.ts";

/** A store in which something happens right after a prefix was listed for the first time. */
export class HeldUpStore extends Store {
  readonly #client: S3Client;
  readonly #prefix: string;
  #then: (() => Promise<unknown>) | null;

  constructor(environment: CloudEnvironment, prefix: string, then: () => Promise<unknown>) {
    const client = new S3Client({ ...clientConfig(environment), forcePathStyle: true });
    super(client, environment.PS_BUCKET);
    this.#client = client;
    this.#prefix = prefix;
    this.#then = then;
  }

  override async list(prefix: string) {
    const found = await super.list(prefix);
    const then = prefix === this.#prefix ? this.#then : null;
    if (then) this.#then = null;
    await then?.();
    return found;
  }

  close(): void {
    this.#client.destroy();
  }
}
