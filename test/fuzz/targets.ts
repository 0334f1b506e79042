import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseJobText } from "../../cli/submission/job-text.ts";
import { startEmulator } from "../../local/emulator/server.ts";
import type { SourceFile } from "../../ml/data/source-file.ts";
import { IdList } from "../../ml/tokenizers/id-list.ts";
import { parseJobFile } from "../../protocol/job.ts";
import { taskSchema, updateSchema } from "../../protocol/messages.ts";
import { parseAs } from "../../protocol/parse.ts";
import { decodePiece, encodePiece } from "../../protocol/piece.ts";
import { encodeHeader, parseHeader } from "../../protocol/safetensors.ts";
import { sign } from "../local/sign.ts";
import { testData } from "../local/support.ts";

/** What reads bytes from somewhere. `run` must return, or throw an error that this project raises on purpose. */
export type Target = {
  readonly seeds: readonly Uint8Array[];
  readonly run: (bytes: Uint8Array) => unknown;
};

const text = (...values: unknown[]) =>
  values.map((value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)));
const filesIn = (folder: string, suffix: string) =>
  readdirSync(folder)
    .filter((name) => name.endsWith(suffix))
    .map((name) => readFileSync(join(folder, name)));

function jobs(): Target {
  return {
    seeds: filesIn("examples", ".json"),
    run: (bytes) => parseJobFile(parseJobText(bytes, "job.json"), "job.json"),
  };
}

function safetensors(): Target {
  const tensors = [
    { name: "a.weight", shape: [2, 3] },
    { name: "b", shape: [4] },
  ];
  const file = Buffer.concat([encodeHeader(tensors, { format: "pt" }), Buffer.alloc(40)]);
  return {
    seeds: [file, Buffer.from(encodeHeader([], {}))],
    run: (bytes) => parseHeader(bytes, "model.safetensors", bytes.length, "any"),
  };
}

async function tokenizers(): Promise<Target> {
  const { openTokenizer } = await import("../../ml/tokenizers/open-tokenizer.ts");
  const kinds: unknown = JSON.parse(readFileSync("test/ml/tokenizers/tokenizer-kinds.json", "utf8"));
  const files = findFiles(kinds).map((file) => Buffer.from(JSON.stringify(file)));
  return {
    seeds: files,
    run(bytes) {
      const tokenizer = openTokenizer({ "tokenizer.json": bytes }, "tokenizer.json");
      const ids = new IdList();
      tokenizer.encodeTo("Hello, wörld! 1234 <mask>\n\n  the end \u{1f600}", ids);
      tokenizer.decode([...ids.view()]);
    },
  };
}

/** Finds whatever looks like a tokenizer.json in a value. */
function findFiles(value: unknown): object[] {
  if (typeof value !== "object" || value === null) return [];
  if ("model" in value && ("pre_tokenizer" in value || "added_tokens" in value)) return [value];
  return Object.values(value).flatMap(findFiles);
}

async function parquet(): Promise<Target> {
  const { parquetChunks } = await import("../../ml/data/parquet.ts");
  const fileOf = (bytes: Uint8Array) => {
    const access = {
      name: "x.parquet",
      size: bytes.length,
      async read(into: Uint8Array, position: number) {
        into.set(bytes.subarray(position, position + into.length));
      },
      close: async () => {},
    };
    return { name: "x.parquet", bytes: bytes.length, open: async () => access } as unknown as SourceFile;
  };
  return {
    seeds: filesIn("test/ml/data/parquet", ".parquet"),
    async run(bytes) {
      for await (const _ of parquetChunks(fileOf(bytes), "text", 1 << 18, () => {}));
    },
  };
}

function messages(): Target {
  const task = { kind: "gradient", job: "a", step: 1, rank: 0, dispatch: "1" };
  const update = { ...task, shard: 0, inline: "AAAA" };
  const wake = { kind: "wake", job: "a", redispatch: false };
  const fail = { kind: "fail", job: "a", attempt: 1, reason: "x" };
  const report = { loss: 1, tokens: 2, pullMs: 1, computeMs: 1, pushMs: 1, worker: "w" };
  const name = { job: "a", step: 1, shard: 0, rank: 0 };
  const piece = encodePiece(name, Float32Array.of(1, 2), report);
  const readers = [
    (bytes: Uint8Array) => parseAs(taskSchema, bytes, "a task"),
    (bytes: Uint8Array) => parseAs(updateSchema, bytes, "an update"),
    (bytes: Uint8Array) => decodePiece(name, bytes),
  ];
  return {
    seeds: [...text(task, update, wake, fail), Buffer.from(piece)],
    run(bytes) {
      const reader = readers[bytes.length % readers.length];
      reader?.(bytes);
    },
  };
}

/** Requests as text: a line, headers, an empty line, a body. They are signed, to get past the door. */
async function requests(): Promise<Target> {
  const folder = testData(mkdtempSync(join(tmpdir(), "ps-fuzz-")));
  const { endpoint } = await startEmulator({ dataDir: folder, idleSeconds: 86_400 });
  const { port, host } = new URL(endpoint);
  const sqs = (action: string, body: object) =>
    `POST /\nx-amz-target: AmazonSQS.${action}\n\n${JSON.stringify(body)}`;
  const url = `${endpoint}/000000000000/q`;
  return {
    seeds: text(
      "PUT /bucket\n\n",
      "PUT /bucket/a%20b?x-id=PutObject\nif-none-match: *\nx-amz-meta-a: b\n\nbody",
      "PUT /bucket/c\nx-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\nx-amz-decoded-content-length: 4\nx-amz-trailer: x-amz-checksum-crc32\n\n4\r\nbody\r\n0\r\n\r\n",
      "GET /bucket/a%20b\nrange: bytes=1-2\n\n",
      "GET /bucket?list-type=2&prefix=a&max-keys=1&continuation-token=x\n\n",
      "POST /bucket?delete\n\n<Delete><Object><Key>c</Key></Object></Delete>",
      "POST /bucket/m?uploads\n\n",
      "POST /bucket/m?uploadId=x\n\n<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>",
      sqs("CreateQueue", { QueueName: "q", Attributes: { VisibilityTimeout: "1" } }),
      sqs("SendMessage", { QueueUrl: url, MessageBody: "x" }),
      sqs("ReceiveMessage", { QueueUrl: url, MaxNumberOfMessages: 1, WaitTimeSeconds: 0 }),
      sqs("DeleteMessageBatch", { QueueUrl: url, Entries: [{ Id: "a", ReceiptHandle: "x" }] }),
      sqs("ChangeMessageVisibility", { QueueUrl: url, ReceiptHandle: "x", VisibilityTimeout: 3 }),
    ),
    run: (bytes) => sendText(Buffer.from(bytes).toString("latin1"), { port, host }),
  };
}

const TOKEN = /^[\w-]+$/;

async function sendText(text: string, { port, host }: { port: string; host: string }): Promise<void> {
  const [head = "", body = ""] = text.split(/\n\n(.*)/s);
  const [line = "", ...lines] = head.split("\n");
  const [method = "", path = ""] = line.split(" ");
  const headers: Record<string, string> = { host, "content-length": `${Buffer.byteLength(body, "latin1")}` };
  for (const line of lines) {
    const [name = "", value = ""] = line.split(/: ?(.*)/s);
    if (TOKEN.test(name) && !/^(connection|transfer-encoding|upgrade|expect)$/i.test(name))
      headers[name.toLowerCase()] = value;
  }
  headers.host = host;
  await new Promise<void>((resolve, reject) => {
    try {
      const sent = request(
        { host: "127.0.0.1", port, method, path, headers: sign(method, path, headers), agent: false },
        (response) => {
          response.resume().once("close", resolve);
          if (response.statusCode === 500) reject(new Error(`answered 500 to ${line}`));
        },
      );
      // A client that Node's own parser refuses, or one whose body ends early.
      sent.once("error", () => resolve());
      sent.setTimeout(1000, () => sent.destroy());
      sent.end(Buffer.from(body, "latin1"));
    } catch {
      // Not a request that Node would send.
      resolve();
    }
  });
}

export const TARGETS: Readonly<Record<string, () => Target | Promise<Target>>> = {
  ...{ jobs, safetensors, tokenizers, parquet, messages, requests },
};
