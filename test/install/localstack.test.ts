import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { LOCALSTACK } from "../../scripts/python-packages.mjs";
import { until } from "../local/support.ts";
import { freePort } from "../support/python-service.ts";

const SCRIPT = new URL("../../scripts/localstack.mjs", import.meta.url).pathname;

/** `npm run localstack` on a machine with only the given programs, each the body of a shell script. */
function start(t: TestContext, programs: Readonly<Record<string, string>>, args: readonly string[]) {
  const folder = mkdtempSync(join(tmpdir(), "ps-localstack-test-"));
  for (const [name, body] of Object.entries(programs)) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${body}\n`);
    chmodSync(join(folder, name), 0o755);
  }
  const env = { PATH: folder, PS_CACHE_DIR: join(folder, "cache"), TMPDIR: folder, STUBS: folder };
  const child = spawn(process.execPath, [SCRIPT, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (text += chunk));
  const ended = once(child, "close").then(([code]) => code);
  t.after(async () => {
    child.kill("SIGTERM");
    await ended;
    rmSync(folder, { recursive: true, force: true });
  });
  return { child, folder, ended, text: () => text };
}

/** Answers like a Docker engine, and its container like LocalStack. */
const docker = (port: number) => `
if [ "$1" = version ]; then echo 27.1; exit 0; fi
echo "$@" > "$STUBS/arguments"
exec ${process.execPath} -e 'require("http").createServer((q, a) => a.end("{}")).listen(${port}, "127.0.0.1")'`;

test("in Docker where an engine answers: the pinned image, on this machine only, until it is told to stop", async (t) => {
  const port = await freePort();
  const { child, folder, ended, text } = start(t, { docker: docker(port) }, ["--port", String(port)]);
  await until("LocalStack is announced", () => text().includes("Ctrl-C stops it"));
  assert.match(text(), new RegExp(`ps-submit .*--endpoint-url http://localhost:${port}\n`));
  const told = readFileSync(join(folder, "arguments"), "utf8");
  assert.match(told, new RegExp(`^run --rm .*-p 127.0.0.1:${port}:4566 .*SERVICES=s3,sqs.* ${IMAGE}\n$`));
  child.kill("SIGINT");
  assert.equal(await ended, 0);
});

const IMAGE = `localstack/localstack:${LOCALSTACK.version}`;

test("the compose file names the same image and settings, and publishes on this machine only", () => {
  const compose = readFileSync(new URL("../../compose.yaml", import.meta.url), "utf8");
  assert.ok(compose.includes(`image: ${IMAGE}\n`));
  for (const [name, value] of Object.entries(LOCALSTACK.environment)) {
    assert.ok(compose.includes(`${name}: "${value}"\n`), name);
  }
  const published = /ports:\n((?: +- .*\n)+)/.exec(compose)?.[1];
  assert.equal(published?.trim(), '- "127.0.0.1:4566:4566"');
});

test("without an engine and without Python it says what is missing", async (t) => {
  const programs = { docker: "exit 1" };
  const { ended, text } = start(t, programs, ["--port", String(await freePort())]);
  assert.equal(await ended, 1);
  assert.match(text(), /No Docker engine answers/);
  assert.match(
    text(),
    /there is no Python on PATH, and localstack needs Python 3.11 with pip; install it with: /,
  );
});

test("a container that ends at once is an error, with its status", async (t) => {
  const programs = { docker: 'if [ "$1" = version ]; then exit 0; fi; echo no such image; exit 125' };
  const { ended, text } = start(t, programs, ["--port", String(await freePort())]);
  assert.equal(await ended, 1);
  assert.match(text(), /no such image/);
  assert.match(text(), /LocalStack did not start: it ended with 125/);
});

test("a port that is in use, or is none, is refused with a command that works", async (t) => {
  const port = await freePort();
  const first = start(t, { docker: docker(port) }, ["--port", String(port)]);
  await until("LocalStack is announced", () => first.text().includes("Ctrl-C stops it"));
  const second = start(t, { docker: docker(port) }, ["--port", String(port)]);
  assert.equal(await second.ended, 1);
  assert.match(second.text(), new RegExp(`port ${port} .* is in use.*-- --port ${port + 1}`));
  const third = start(t, {}, ["--port", "70000"]);
  assert.equal(await third.ended, 1);
  assert.match(third.text(), /--port must be between 1 and 65535, got 70000/);
});
