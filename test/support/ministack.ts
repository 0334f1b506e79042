import { execFile } from "node:child_process";
import { mkdirSync } from "node:fs";
import { request as plainRequest } from "node:http";
import { request as secureRequest } from "node:https";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import { required } from "../../protocol/required.ts";
import { commandOf, ensureInstalled, type Installed, MINISTACK } from "../../scripts/python-packages.mjs";
import { type Service, startService } from "./python-service.ts";

export type MinistackOptions = {
  /** Enforces IAM policies, over https, which that needs. */
  readonly auth?: boolean;
  /** On top of ministack's own environment. */
  readonly env?: Readonly<Record<string, string>>;
};

export type Ministack = Service & {
  readonly endpoint: string;
  /** The certificate to trust with NODE_EXTRA_CA_CERTS, on both sides; undefined over http. */
  readonly certificate: string | undefined;
  /** What a client's process needs: endpoint, region, keys, and the certificate if there is one. */
  readonly environment: Readonly<Record<string, string>>;
};

const REGION = "us-east-1";

/**
 * Finds ministack's packages, or installs them (in seconds).
 *
 * @returns a sentence with the reason when that fails
 */
export async function ministackOrReason(): Promise<Installed | string> {
  try {
    return await ensureInstalled(MINISTACK);
  } catch (error) {
    return `ministack can't be had here: ${error instanceof Error ? error.message : error}`;
  }
}

/**
 * Starts ministack on a free port, empty. Lambdas that it runs get the `node` of this process.
 *
 * @throws Error with the end of its log when it does not start
 */
export async function startMinistack(
  installed: Installed,
  { auth = false, env = {} }: MinistackOptions = {},
): Promise<Ministack> {
  const base = (port: number) => `${auth ? "https" : "http"}://localhost:${port}`;
  const service = await startService(installed, {
    async environment(port, folder) {
      if (auth) await writeCertificate(installed, folder);
      return { ...environmentOf(port, folder), ...(auth ? secure(folder) : {}), ...env };
    },
    isReady: async (port) => (await status(`${base(port)}/_ministack/health`)) === 200,
  });
  const endpoint = base(service.port);
  const certificate = auth ? secure(service.folder).MINISTACK_SSL_CERT : undefined;
  return { ...service, endpoint, certificate, environment: clientEnvironment(endpoint, certificate) };
}

function environmentOf(port: number, folder: string): Record<string, string> {
  const state = join(folder, "state");
  mkdirSync(state, { recursive: true });
  return {
    ...MINISTACK.environment,
    BIND_HOST: "127.0.0.1",
    GATEWAY_PORT: String(port),
    MINISTACK_HOST: "localhost",
    MINISTACK_REGION: REGION,
    STATE_DIR: state,
    PATH: [dirname(process.execPath), process.env.PATH].join(delimiter),
  };
}

const secure = (folder: string) => ({
  AUTH: "true",
  USE_SSL: "1",
  MINISTACK_SSL_CERT: join(folder, "certificate.pem"),
  MINISTACK_SSL_KEY: join(folder, "key.pem"),
  // The Lambdas that it runs talk to it too.
  NODE_EXTRA_CA_CERTS: join(folder, "certificate.pem"),
});

function clientEnvironment(endpoint: string, certificate: string | undefined): Record<string, string> {
  return {
    AWS_ENDPOINT_URL: endpoint,
    AWS_ENDPOINT_URL_S3: endpoint,
    AWS_REGION: REGION,
    AWS_ACCESS_KEY_ID: "test",
    AWS_SECRET_ACCESS_KEY: "test",
    ...(certificate === undefined ? {} : { NODE_EXTRA_CA_CERTS: certificate }),
  };
}

/** Returns the answer's status. The certificate is not checked, since this process started the server. */
function status(url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = url.startsWith("https:")
      ? secureRequest(url, { rejectUnauthorized: false })
      : plainRequest(url);
    request.setTimeout(2_000, () => request.destroy(new Error("no answer")));
    request.once("error", reject);
    request.once("response", (response) => {
      response.resume();
      resolve(required(response.statusCode, "the status"));
    });
    request.end();
  });
}

/** A self-signed certificate for localhost, in Python, as the `openssl` command is not everywhere. */
const CERTIFICATE = `
import datetime, ipaddress, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
key = ec.generate_private_key(ec.SECP256R1())
name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
now = datetime.datetime.now(datetime.timezone.utc)
names = [x509.DNSName("localhost"), x509.DNSName("*.localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
certificate = (
    x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    .serial_number(x509.random_serial_number())
    .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=2))
    .add_extension(x509.SubjectAlternativeName(names), critical=False)
    .sign(key, hashes.SHA256())
)
pem = serialization.Encoding.PEM
open(sys.argv[1], "wb").write(certificate.public_bytes(pem))
open(sys.argv[2], "wb").write(key.private_bytes(
    pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
`;

async function writeCertificate(installed: Installed, folder: string): Promise<void> {
  const { MINISTACK_SSL_CERT, MINISTACK_SSL_KEY } = secure(folder);
  const { command, env } = commandOf(installed);
  await promisify(execFile)(command, ["-c", CERTIFICATE, MINISTACK_SSL_CERT, MINISTACK_SSL_KEY], {
    env: { ...process.env, ...env },
  });
}
