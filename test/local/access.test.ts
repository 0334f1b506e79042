import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, IncomingMessage, request } from "node:http";
import { type AddressInfo, Socket } from "node:net";
import { join } from "node:path";
import { after, test } from "node:test";
import {
  CreateBucketCommand,
  GetObjectCommand,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
} from "@aws-sdk/client-s3";
import { ListQueuesCommand, SQSClient } from "@aws-sdk/client-sqs";
import { findEmulator, writeAddress } from "../../local/emulator/address.ts";
import { claim, claims, openSession } from "../../local/emulator/client.ts";
import { findKeys, openKeys } from "../../local/emulator/keys.ts";
import { startEmulator } from "../../local/emulator/server.ts";
import { requireSignature } from "../../local/emulator/signature.ts";
import { sign } from "./sign.ts";
import { clientsOf, KEY, refusal, temporaryFolder } from "./support.ts";

const folder = temporaryFolder();
const emulator = await startEmulator({ dataDir: folder.path, idleSeconds: 600 });
const { endpoint } = emulator;
const { host, port } = new URL(endpoint);
const { s3 } = clientsOf(endpoint);
const Bucket = "access";
await s3.send(new CreateBucketCommand({ Bucket }));
await s3.send(new PutObjectCommand({ Bucket, Key: "a b/ü+(1)*!", Body: "secret" }));
after(() => {
  emulator.close();
  folder[Symbol.dispose]();
});

function raw(method: string, path: string, headers: Readonly<Record<string, string>>) {
  return new Promise<{ status: number; body: string }>((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, method, path, headers }, async (response) => {
      const chunks: Buffer[] = await response.toArray();
      resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() });
    });
    sent.once("error", reject).end();
  });
}

/** A request as the server sees it. */
function incoming(method: string, url: string, headers: Readonly<Record<string, string>>): IncomingMessage {
  return Object.assign(new IncomingMessage(new Socket()), { method, url, headers });
}

// Source: "Authenticating Requests: Using the Authorization Header" of Amazon S3's API reference.
test("the signatures of AWS's own examples are taken, and no others", () => {
  const id = "AKIAIOSFODNN7EXAMPLE";
  const keys = new Map([[id, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"]]);
  const host = "examplebucket.s3.amazonaws.com";
  const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  const amz = { host, "x-amz-content-sha256": empty, "x-amz-date": "20130524T000000Z" };
  const authorization = (signed: string, signature: string) =>
    `AWS4-HMAC-SHA256 Credential=${id}/20130524/us-east-1/s3/aws4_request,SignedHeaders=${signed},Signature=${signature}`;
  const get = authorization(
    "host;range;x-amz-content-sha256;x-amz-date",
    "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
  );
  const range = { range: "bytes=0-9" };
  requireSignature(incoming("GET", "/test.txt", { ...amz, ...range, authorization: get }), keys);
  const lifecycle = authorization(
    "host;x-amz-content-sha256;x-amz-date",
    "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
  );
  requireSignature(incoming("GET", "/?lifecycle", { ...amz, authorization: lifecycle }), keys);
  const list = authorization(
    "host;x-amz-content-sha256;x-amz-date",
    "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
  );
  requireSignature(incoming("GET", "/?prefix=J&max-keys=2", { ...amz, authorization: list }), keys);

  const refused = { name: "ApiError", status: 403, code: "SignatureDoesNotMatch" };
  const changed = [
    incoming("PUT", "/test.txt", { ...amz, ...range, authorization: get }),
    incoming("GET", "/test2.txt", { ...amz, ...range, authorization: get }),
    incoming("GET", "/test.txt?x=1", { ...amz, ...range, authorization: get }),
    incoming("GET", "/test.txt", { ...amz, range: "bytes=0-99", authorization: get }),
    incoming("GET", "/test.txt", { ...amz, ...range, host: "127.0.0.1", authorization: get }),
  ];
  for (const message of changed) assert.throws(() => requireSignature(message, keys), refused);
  assert.throws(
    () => requireSignature(incoming("GET", "/test.txt", { ...amz, authorization: get }), new Map()),
    { code: "InvalidAccessKeyId" },
  );
});

test("a request without a signature, or signed with another key, is refused", async () => {
  const denied = async (method: string, path: string, headers = {}) => {
    const { status, body } = await raw(method, path, { host, ...headers });
    assert.equal(status, 403, `${method} ${path}`);
    assert.ok(!body.includes("secret "), body);
  };
  await denied("GET", `/${Bucket}?list-type=2`);
  await denied("PUT", `/${Bucket}/x`, { "content-length": "0" });
  await denied("POST", "/", { "x-amz-target": "AmazonSQS.ListQueues" });
  // Presigned, as a link that a page or a mail may hold.
  await denied(
    "GET",
    `/${Bucket}/x?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=test&X-Amz-Signature=00`,
  );
  for (const keys of [
    { accessKeyId: "test", secretAccessKey: "wrong" },
    { accessKeyId: "local", secretAccessKey: "local" },
  ]) {
    const config: S3ClientConfig = { endpoint, region: "us-east-1", credentials: keys, forcePathStyle: true };
    const s3 = new S3Client(config);
    const sqs = new SQSClient({ endpoint, region: "us-east-1", credentials: keys });
    const name = keys.accessKeyId === "test" ? "SignatureDoesNotMatch" : "InvalidAccessKeyId";
    const get = s3.send(new GetObjectCommand({ Bucket, Key: "a b/ü+(1)*!" }));
    assert.deepEqual(await refusal(get), { name, status: 403 });
    assert.deepEqual(await refusal(sqs.send(new ListQueuesCommand({}))), { name, status: 403 });
  }
});

test("a signature that leaves out a header that decides is refused", async () => {
  const signed = sign("PUT", `/${Bucket}/covered`, { host, "content-length": "0" });
  const path = `/${Bucket}/covered`;
  assert.equal((await raw("PUT", path, { ...signed, "x-amz-meta-more": "x" })).status, 403);
  assert.equal((await raw("PUT", path, { ...signed, "x-amz-target": "AmazonSQS.ListQueues" })).status, 403);
  assert.equal((await raw("PUT", path, signed)).status, 200);
});

test("sessions, claims and its process id are told only to who can read the folder's key", async () => {
  const stranger = { endpoint, key: { id: "test", secret: "other" } };
  await assert.rejects(openSession(stranger), /answered a session with 403/);
  await assert.rejects(claim(stranger, "job"), /403/);
  await assert.rejects(claims(stranger));
  for (const path of ["health", "claims", "session"])
    assert.equal((await raw("GET", `/_local/${path}`, { host })).status, 403, path);
  assert.deepEqual(await claims({ endpoint, key: KEY }), []);
});

test("a program that took the port and says that it is the emulator is not believed", async (t) => {
  using other = temporaryFolder();
  const asked: string[] = [];
  const impostor = createServer((message, response) => {
    asked.push(message.url ?? "");
    response.end(JSON.stringify({ pid: 1, dataDir: other.path, proof: "0".repeat(64) }));
  });
  await new Promise<void>((resolve) => impostor.listen(0, "127.0.0.1", resolve));
  t.after(() => impostor.close());
  writeAddress(other.path, { port: (impostor.address() as AddressInfo).port, pid: 1 });
  assert.equal(await findEmulator(other.path), null);
  assert.equal(asked.length, 1);
});

test("each folder has a random key that only its user can read; one that others may read is refused", () => {
  using folder = temporaryFolder();
  const [first, second] = ["first", "second"].map((name) => join(folder.path, name)) as [string, string];
  for (const path of [first, second]) mkdirSync(path);
  const keys = openKeys(first);
  assert.notDeepEqual([...keys.values()], [...openKeys(second).values()]);
  const file = join(first, "emulator-keys.json");
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.match(readFileSync(file, "utf8"), /^\{"PS[0-9A-F]{18}":"[0-9a-f]{64}"\}\n$/);
  assert.deepEqual(openKeys(first), keys, "it stays");
  assert.deepEqual(readdirSync(first), ["emulator-keys.json"]);
  chmodSync(file, 0o644);
  assert.throws(() => findKeys(first), /must be readable by you only, its mode is 644; remove it/);
  writeFileSync(join(second, "emulator-keys.json"), "");
  assert.throws(() => openKeys(second), /emulator-keys\.json has no keys of the emulator/);
});
