import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { ModuleProcess } from "../../../ml/models/module-process.ts";

/** What a hostile or broken module can do, and what comes of it. */
const folder = mkdtempSync(join(tmpdir(), "ps-module-test-"));
const secret = join(folder, "secret");
writeFileSync(secret, "the secret");
process.env.AWS_SECRET_ACCESS_KEY = "the secret";
process.env.GITHUB_TOKEN = "the secret";
after(() => rmSync(folder, { recursive: true }));

const sizes = { options: {}, vocabulary: null, context: null };
const moduleWith = (parameters: string, before = "") => `${before}
  export default { loss: () => null, parameters: () => { ${parameters};
    return [{ name: "w", shape: [1], init: { type: "ones" } }]; } };`;

/** Runs `parameters` of a module and returns what is said of it. */
async function outcome(
  source: string,
  options: { memoryMb?: number; startMs?: number } = {},
): Promise<string> {
  let module: ModuleProcess | undefined;
  try {
    module = await ModuleProcess.open({ source: Buffer.from(source), name: "model.module x.ts", ...options });
    const { parameters } = await module.describe(sizes);
    return parameters.map(({ name }) => name).join();
  } catch (error) {
    return String(error);
  } finally {
    await module?.close();
  }
}

test("a module that loops for ever, at its import or in a function, is ended with that reason", async () => {
  const loops =
    /^Unrecoverable: model\.module x\.ts: its code has not returned for 3 s, so it may loop for ever$/;
  assert.match(await outcome(moduleWith("for (;;);"), { startMs: 3000 }), loops);
  assert.match(await outcome("for (;;); export default {};", { startMs: 3000 }), loops);
  assert.match(
    await outcome("await new Promise(() => setInterval(() => {}, 1000));", { startMs: 3000 }),
    loops,
  );
});

test("a module that allocates without end is ended with that reason", async () => {
  const reason = /^Unrecoverable: .*x\.ts: its code took all memory that it may have \(300 MB\)/;
  const arrays = "const kept = []; for (;;) kept.push(new Uint8Array(1 << 20).fill(1));";
  assert.match(await outcome(moduleWith(arrays), { memoryMb: 300 }), reason);
  const objects = "const kept = []; for (;;) kept.push({ text: String(kept.length), more: [kept.length] });";
  assert.match(await outcome(moduleWith(objects), { memoryMb: 300 }), reason);
});

test("a module that ends its process is an error with that reason", async () => {
  for (const [code, status] of [
    ["process.exit(0)", 0],
    ["process.exit(3)", 3],
  ] as const)
    assert.equal(
      await outcome(moduleWith(code)),
      `Unrecoverable: model.module x.ts: its code ended its process with exit status ${status}`,
    );
  const later = "setTimeout(() => { throw new Error('later'); }, 0); await new Promise(() => {});";
  assert.match(await outcome(later, { startMs: 20_000 }), /ended its process with exit status 1$/);
});

test("a process that somebody else killed is replaced, and the call is worth another try", async (t) => {
  const source = Buffer.from(moduleWith('process.kill(process.pid, "SIGKILL")'));
  const module = await ModuleProcess.open({ source, name: "x" });
  t.after(() => module.close());
  for (let i = 0; i < 2; i++)
    await assert.rejects(module.describe(sizes), {
      name: "TryAgain",
      message: "x: its process was ended by SIGKILL",
    });
});

test("a module has no credentials: not of the environment, not of a file, not of its parent process", async () => {
  const environment =
    "const found = JSON.stringify(process.env); if (/secret|AWS|TOKEN/.test(found)) throw new Error(found);";
  assert.equal(await outcome(moduleWith(environment)), "w");
  const read = (path: string) =>
    `throw new Error("read: " + process.getBuiltinModule("fs").readFileSync(${path}, "latin1").length)`;
  for (const path of [
    JSON.stringify(secret),
    "'/proc/' + process.ppid + '/environ'",
    '"/proc/self/environ"',
    "process.env.HOME + '/.aws/credentials'",
    '"/etc/passwd"',
  ])
    assert.match(
      await outcome(moduleWith(read(path))),
      /parameters threw Error: Access to this API has been restricted/,
      path,
    );
});

test("a module writes no file and starts no program", async () => {
  const file = join(folder, "written");
  const write = `process.getBuiltinModule("fs").writeFileSync(${JSON.stringify(file)}, "x")`;
  assert.match(await outcome(moduleWith(write)), /restricted/);
  const start = `process.getBuiltinModule("child_process").spawnSync("touch", [${JSON.stringify(file)}])`;
  assert.match(await outcome(moduleWith(start)), /restricted/);
  // A thread of its own is under the same rules.
  const thread = `await new Promise((resolve, reject) => {
    const { Worker } = process.getBuiltinModule("worker_threads");
    const worker = new Worker("require('fs').writeFileSync(" + ${JSON.stringify(JSON.stringify(file))} + ", 'x')", { eval: true, execArgv: [] });
    worker.once("error", reject); worker.once("exit", resolve); });`;
  assert.match(await outcome(`${thread} export default {};`), /restricted/);
  assert.equal(existsSync(file), false);
});
