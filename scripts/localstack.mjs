/**
 * `npm run localstack [-- --port N]`: LocalStack's S3 and SQS on this machine, until Ctrl-C. In Docker where an engine
 * answers, else as Python packages, which are installed once for all clones.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { killChildren, run, Unavailable } from "./install-run.mjs";
import { removeWork } from "./install-work.mjs";
import { commandOf, ensureInstalled, LOCALSTACK } from "./python-packages.mjs";

const IMAGE = `localstack/localstack:${LOCALSTACK.version}`;
const USAGE = "usage: npm run localstack [-- --port N]";
const START_DEADLINE_MS = 300_000;
const STOP_GRACE_MS = 8_000;
const POLL_MS = 100;

/**
 * @typedef {object} Start The command that starts LocalStack.
 * @property {string} command
 * @property {readonly string[]} args
 * @property {Readonly<Record<string, string>>} [env]
 */

/** @param {readonly string[]} args */
function parsePort(args) {
  const text = parsePortOption(args);
  const port = Number(text);
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
  throw new Unavailable(`--port must be between 1 and 65535, got ${text}\n${USAGE}`);
}

/** @param {readonly string[]} args */
function parsePortOption(args) {
  try {
    return parseArgs({ args: [...args], options: { port: { type: "string", default: "4566" } } }).values.port;
  } catch (error) {
    throw new Unavailable(`${error instanceof Error ? error.message : error}\n${USAGE}`);
  }
}

/** @param {number} port */
async function requireFree(port) {
  const server = createServer();
  const isTaken = await new Promise((resolve) => {
    server.once("error", resolve);
    server.listen(port, "127.0.0.1", () => resolve(undefined));
  });
  if (isTaken) {
    throw new Unavailable(
      `port ${port} of this machine is in use, perhaps by another LocalStack; stop that, or: npm run localstack -- --port ${port + 1}`,
    );
  }
  await new Promise((resolve) => server.close(resolve));
}

/**
 * @param {number} port
 * @param {string} folder for its temporary files
 * @returns {Promise<Start>}
 */
async function startOf(port, folder) {
  const engine = await run("docker", ["version", "--format", "{{.Server.Version}}"]);
  if (engine.code === 0) {
    console.log(`Docker ${engine.stdout.trim()} answers: starting ${IMAGE} in it`);
    const settings = Object.entries(LOCALSTACK.environment).flatMap(([name, value]) => [
      "-e",
      `${name}=${value}`,
    ]);
    const published = ["-p", `127.0.0.1:${port}:4566`];
    return { command: "docker", args: ["run", "--rm", "--init", ...published, ...settings, IMAGE] };
  }
  console.log("No Docker engine answers: using the Python packages");
  const { command, args, env } = commandOf(await ensureInstalled(LOCALSTACK));
  const listen = { GATEWAY_LISTEN: `127.0.0.1:${port}`, LS_LOG: "error", TMPDIR: folder };
  return { command, args, env: { ...env, ...LOCALSTACK.environment, ...listen } };
}

/** @param {number} port */
async function answers(port) {
  const response = await fetch(`http://127.0.0.1:${port}/_localstack/health`).catch(() => undefined);
  await response?.text();
  return response?.ok === true;
}

/** @param {number} port */
function announce(port) {
  const endpoint = `http://localhost:${port}`;
  console.log(`
LocalStack ${LOCALSTACK.version}, S3 and SQS, listens on ${endpoint}. In another terminal:

    npx ps-submit examples/shakespeare.json --endpoint-url ${endpoint}

Ctrl-C stops it; it keeps everything in memory, so its jobs are gone then.`);
}

/**
 * Runs LocalStack until it ends or this process gets a signal to end.
 * @param {Start} start
 * @param {number} port
 * @returns {Promise<number>} exit code
 */
async function serve({ command, args, env = {} }, port) {
  const child = spawn(command, args, {
    env: { ...process.env, ...env },
    stdio: ["ignore", "inherit", "inherit"],
  });
  let stopping = false;
  let over = false;
  /** @type {Promise<string>} */
  const ended = new Promise((resolve) => {
    const end = (/** @type {string} */ how) => {
      over = true;
      resolve(how);
    };
    child.once("error", (error) => end(error.message));
    child.once("exit", (code, signal) => end(`it ended with ${signal ?? code}`));
  });
  const stop = () => {
    stopping = true;
    child.kill("SIGTERM");
    setTimeout(() => child.kill("SIGKILL"), STOP_GRACE_MS).unref();
  };
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) process.on(signal, stop);
  const started = await ready(port, () => stopping || over);
  if (started === "ready") announce(port);
  if (started === "late") stop();
  const end = await ended;
  if (stopping && started !== "late") return 0;
  const what = started === "ready" ? "ended" : "did not start";
  console.error(`LocalStack ${what}: ${started === "late" ? "it did not answer within five minutes" : end}`);
  return 1;
}

/**
 * Waits until LocalStack answers.
 * @param {number} port
 * @param {() => boolean} isOver whether there is nothing to wait for any more
 */
async function ready(port, isOver) {
  for (const deadline = Date.now() + START_DEADLINE_MS; Date.now() < deadline; await sleep(POLL_MS)) {
    if (isOver()) return "ended";
    if (await answers(port)) return "ready";
  }
  return "late";
}

/** Leaves nothing behind when a signal comes before LocalStack runs. */
function stopCleanly() {
  killChildren();
  removeWork();
  process.exit(130);
}

async function main() {
  const port = parsePort(process.argv.slice(2));
  await requireFree(port);
  const folder = mkdtempSync(join(tmpdir(), "ps-localstack-"));
  try {
    process.on("SIGINT", stopCleanly);
    const start = await startOf(port, folder);
    process.off("SIGINT", stopCleanly);
    return await serve(start, port);
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof Unavailable)) throw error;
  console.error(`LocalStack can't be started: ${error.message}`);
  process.exitCode = 1;
}
