import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, test } from "node:test";
import { program } from "../../../cli/targets/paths.ts";
import { linearJob } from "../../support/lab.ts";
import { Playground, Running } from "../command.ts";

/** A signal that was ignored when a command started stays ignored, though Node gives each its default effect. */

const playground = new Playground();
after(() => playground.close());

/** Starts a job by a line of a shell, in which `$SUBMIT` is the command line as npm links it, and `$NODE` runs it. */
function start(name: string, line: string, shell = "sh"): Running {
  const { workers: _, ...job } = linearJob(name, { steps: 40 });
  playground.write(`${name}.json`, job);
  const child = spawn(shell, ["-c", line], {
    cwd: playground.directory,
    env: {
      ...process.env,
      _: "",
      PS_DATA_DIR: playground.dataDir,
      PS_CACHE_DIR: `${playground.dataDir}/cache`,
      PATH: `${process.execPath.replace(/\/[^/]*$/, "")}:${process.env.PATH}`,
      SUBMIT: program("ps-submit"),
      NODE: process.execPath,
      NO_COLOR: "1",
    },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  return new Running(child);
}

async function signalled(running: Running, signal: NodeJS.Signals): Promise<number | null> {
  await running.says(/step \d+\/40/);
  running.child.kill(signal);
  const { code } = await running.ended;
  return code;
}

test("SIGHUP stops a job in order", async () => {
  assert.equal(await signalled(start("plain", 'exec "$SUBMIT" plain.json'), "SIGHUP"), 129);
});

test("below a shell that ignores SIGHUP, as nohup does, SIGHUP is ignored", async () => {
  const running = start("ignoring", `trap '' HUP; exec "$SUBMIT" ignoring.json`);
  assert.equal(await signalled(running, "SIGHUP"), 0);
});

test("what a shell runs in the background without job control ignores SIGINT", async () => {
  const running = start("background", `trap '' INT; exec "$SUBMIT" background.json`);
  assert.equal(await signalled(running, "SIGINT"), 0);
});

test("nohup is seen through another Node, such as npx, by the variable that the shell leaves", async () => {
  const running = start("through-node", 'nohup "$NODE" "$SUBMIT" through-node.json', "bash");
  assert.equal(await signalled(running, "SIGHUP"), 0);
});
