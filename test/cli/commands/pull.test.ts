import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  watch,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { fillDirectory } from "../../../cli/models/fill-directory.ts";

/** What `pull` and `data --out` do with the directory that they fill. */

const root = mkdtempSync(join(tmpdir(), "ps-fill-"));
after(() => rmSync(root, { recursive: true, force: true }));

const FILES = ["a.json", "config.json", "model.safetensors", "z.json"];

const fill = (directory: string, alsoDo: () => void = () => {}) =>
  fillDirectory(directory, "config.json", async (draft) => {
    for (const name of FILES) writeFileSync(join(draft, name), name);
    alsoDo();
    return 7;
  });

test("a directory that is there is filled and stays the same one, for a shell that stands in it", async () => {
  const directory = join(root, "there");
  mkdirSync(directory);
  const { ino } = statSync(directory);
  assert.equal(await fill(directory), 7);
  assert.equal(statSync(directory).ino, ino);
  assert.deepEqual(readdirSync(directory).sort(), FILES);
  for (const name of FILES) assert.equal(readFileSync(join(directory, name), "utf8"), name);
});

test("the file that makes it a model is moved last", async () => {
  const directory = join(root, "order");
  mkdirSync(directory);
  const names = ["config.json", ...Array.from({ length: 20 }, (_, i) => `file-${i}`)];
  const came: string[] = [];
  const all = Promise.withResolvers<void>();
  const watcher = watch(directory, (_, name) => {
    if (name !== null && names.includes(name)) came.push(name);
    if (came.length === names.length) all.resolve();
  });
  await fillDirectory(directory, "config.json", async (draft) => {
    for (const name of names) writeFileSync(join(draft, name), name);
  });
  await all.promise;
  watcher.close();
  assert.equal(came.at(-1), "config.json");
});

test("a link is followed, and one to what is not there is named", async () => {
  const [goal, link] = [join(root, "goal"), join(root, "link")];
  symlinkSync(goal, link);
  await assert.rejects(fill(link), { name: "InvalidInput", message: /is a link to what is not there/ });
  mkdirSync(goal);
  await fill(link);
  assert.deepEqual(readdirSync(goal).sort(), FILES);
});

test("when it fails nothing is left: no file, no folder that was made, and what was there stays", async () => {
  const fail = () => {
    throw new Error("no more");
  };
  await assert.rejects(fill(join(root, "new", "deep"), fail), /no more/);
  assert.ok(!existsSync(join(root, "new")));
  const directory = join(root, "kept");
  mkdirSync(directory);
  await assert.rejects(fill(directory, fail), /no more/);
  assert.deepEqual(readdirSync(directory), []);
});

test("files that are there, or that come meanwhile, are not written over", async () => {
  const directory = join(root, "busy");
  const come = () => writeFileSync(join(directory, "config.json"), "mine");
  await assert.rejects(fill(directory, come), {
    name: "InvalidInput",
    message: /it has 1 file \(config.json\)/,
  });
  assert.deepEqual(readdirSync(directory), ["config.json"]);
  assert.equal(readFileSync(join(directory, "config.json"), "utf8"), "mine");
  await assert.rejects(fill(directory), /must be empty or not there/);
});

test("a new disk's lost+found and a killed pull's draft do not count as files", async () => {
  const directory = join(root, "disk");
  mkdirSync(join(directory, "lost+found"), { recursive: true });
  mkdirSync(join(directory, ".ps-draft-aBc"));
  await fill(directory);
  assert.deepEqual(readdirSync(directory).sort(), [".ps-draft-aBc", ...FILES, "lost+found"].sort());
});

const namespace = ["--user", "--map-root-user", "--mount"];
const noMounts = spawnSync("unshare", [...namespace, "mount", "-t", "tmpfs", "none", "/mnt"]).status !== 0;

test("a mount point is filled", { skip: noMounts && "this machine gives no mounts" }, () => {
  const directory = join(root, "mount");
  mkdirSync(directory);
  const module = fileURLToPath(new URL("../../../cli/models/fill-directory.ts", import.meta.url));
  const script = `
    import { writeFileSync, readdirSync } from "node:fs";
    const { fillDirectory } = await import(${JSON.stringify(module)});
    const write = async (draft) => writeFileSync(draft + "/config.json", "{}");
    await fillDirectory(process.argv[1], "config.json", write);
    console.log(readdirSync(process.argv[1]).join());`;
  const run = `mount -t tmpfs none "$1" && exec "$2" --input-type=module -e "$3" "$1"`;
  const args = [...namespace, "sh", "-c", run, "sh", directory, process.execPath, script];
  const { stdout, stderr } = spawnSync("unshare", args, { encoding: "utf8" });
  assert.equal(stdout.trim(), "config.json", stderr);
});
