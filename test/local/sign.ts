import { createHash, createHmac } from "node:crypto";
import { KEY } from "./support.ts";

export type Signed = Readonly<Record<string, string>>;

const SCOPE = "20260101/us-east-1/s3/aws4_request";

/** Adds a signature with the key of tests to the headers of a request whose path and query need no encoding. */
export function sign(method: string, url: string, headers: Signed, { id, secret } = KEY): Signed {
  const all: Signed = {
    "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
    ...headers,
    "x-amz-date": "20260101T000000Z",
  };
  const names = Object.keys(all)
    .filter((name) => name === "host" || name.startsWith("x-amz-"))
    .sort();
  const [path, query = ""] = url.split("?");
  const lines = names.map((name) => `${name}:${all[name]}\n`).join("");
  const request = [method, path, query, lines, names.join(";"), all["x-amz-content-sha256"]].join("\n");
  const digest = createHash("sha256").update(request).digest("hex");
  let key: Buffer = Buffer.from(`AWS4${secret}`);
  for (const part of [...SCOPE.split("/"), `AWS4-HMAC-SHA256\n20260101T000000Z\n${SCOPE}\n${digest}`])
    key = createHmac("sha256", key).update(part).digest();
  const authorization = `AWS4-HMAC-SHA256 Credential=${id}/${SCOPE}, SignedHeaders=${names.join(";")}, Signature=${key.toString("hex")}`;
  return { ...all, authorization };
}

/** The signed head of a request, as it is sent. */
export function head(method: string, path: string, headers: Signed): string {
  const lines = Object.entries(sign(method, path, headers)).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n`;
}
