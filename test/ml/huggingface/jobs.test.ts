import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { resumeJob } from "../../../cli/submission/attempts.ts";
import { uploadInputs } from "../../../cli/submission/prepare-job.ts";
import { readTokenizer } from "../../../ml/data/read-tokenizer.ts";
import { bytesOf, sha256 } from "../../../protocol/digest.ts";
import { keys } from "../../../protocol/keys.ts";
import { modelSize } from "../../../protocol/layout.ts";
import { slotsOf } from "../../../protocol/optimizer-spec.ts";
import { isEnded } from "../../../protocol/records.ts";
import { TEXT } from "../../support/models.ts";
import { BERT, type Dtype, writeDirectory } from "./fixture.ts";
import {
  folder,
  inOrder,
  lab,
  parametersOf,
  prepared,
  run,
  sameTensors,
  startsAt,
  values,
} from "./pretrained-jobs.ts";

for (const type of ["gpt2", "bert", "llama"] as const) {
  for (const dtype of ["F32", "F16", "BF16"] satisfies Dtype[]) {
    test(`version 0 has the ${dtype} weights of a ${type} directory, bit for bit, frozen or not`, async () => {
      const from = `${type}-${dtype}`;
      const directory = await startsAt(from.toLowerCase(), {
        model: { from },
        freeze: [type === "llama" ? "*norm.weight" : "*.bias"],
        shards: 5,
      });
      const found = await parametersOf(directory);
      for (const [name, expected] of values.get(from) ?? [])
        assert.deepEqual(found.get(name), expected, name);
      assert.equal(found.size, values.get(from)?.size);
    });
  }
}

test("frozen parameters stay as they are, the others train, and any number of shards gives the same bytes", async () => {
  const freeze = ["wte.*", "h.0.*"];
  const runs = [];
  for (const shards of [1, 7]) runs.push(await run(`frozen-${shards}`, { freeze, shards }));
  assert.equal(new Set(runs.map((one) => one.sha256)).size, 1);
  const [first] = runs;
  assert.ok(first);
  const found = await parametersOf(first.directory);
  for (const [name, start] of values.get("gpt2-F16") ?? []) {
    const frozen = /wte|\.h\.0\./.test(name);
    assert.equal(
      Buffer.compare(bytesOf(found.get(name) ?? new Float32Array()), bytesOf(start)) === 0,
      frozen,
      name,
    );
  }
  assert.equal(
    first.sha256,
    sha256(...inOrder(found)),
    "the digest is over all parameters in document order",
  );
});

test("a Llama with grouped queries and scaled rotations trains from its directory but for what is frozen", async () => {
  const whole = await startsAt("llama-start", { model: { from: "llama-BF16" } });
  const freeze = ["embed_tokens.*", "layers.0.*"];
  const { directory } = await run("llama-tuned", { model: { from: "llama-BF16" }, freeze });
  const same = await sameTensors(whole, directory);
  assert.equal(same.size, values.get("llama-BF16")?.size);
  for (const [name, is] of same) assert.equal(is, /embed_tokens|\.layers\.0\./.test(name), name);
  const config = JSON.parse(readFileSync(join(directory, "config.json"), "utf8"));
  assert.equal(config.num_key_value_heads, 2);
  assert.equal(config.torch_dtype, "float32");
});

test("a directory without tokenizer.json is trained from, said aloud, and what comes out has one", async () => {
  const from = join(folder, "vocabulary");
  writeDirectory(from, "bert");
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) rmSync(join(from, name));
  const letters = [...new Set(TEXT)].filter((letter) => /\S/.test(letter));
  const lines = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ...letters, ...letters.map((l) => `##${l}`)];
  const tokens = lines.slice(0, BERT.vocabulary);
  writeFileSync(join(from, "vocab.txt"), tokens.map((token) => `${token}\n`).join(""));
  const { notes } = await prepared("vocabulary", { model: { from: "vocabulary" } });
  assert.match(notes.join("\n"), /vocabulary has no tokenizer\.json; it is made from vocab\.txt/);
  const { directory } = await run("vocabulary", { model: { from: "vocabulary" } });
  const [given, got] = [readTokenizer(from), readTokenizer(directory)];
  assert.deepEqual(got.encode(TEXT, { special: true }), given.encode(TEXT, { special: true }));
  const { vocab } = JSON.parse(readFileSync(join(directory, "tokenizer.json"), "utf8")).model;
  assert.deepEqual(vocab, Object.fromEntries(tokens.map((token, id) => [token, id])));
});

test("frozen parameters take no part in shards and gradients", async () => {
  const { spec } = await run("traffic", { freeze: ["wte.*", "wpe.*", "h.*.mlp.*"] });
  const layout = await lab.cloud.jobs.layout(spec.name);
  assert.ok(layout?.frozen);
  const all = [...(values.get("gpt2-F16")?.values() ?? [])].reduce((sum, value) => sum + value.length, 0);
  assert.equal(modelSize(layout), all);
  assert.ok(layout.parameters < all / 2, `${layout.parameters} of ${all} train`);
  const shards = await lab.cloud.store.list(`${keys.version(spec.name, spec.steps)}shard-`);
  const bytes = shards.reduce((sum, { size }) => sum + size, 0);
  const vectors = 1 + slotsOf(spec.optimizer).length;
  assert.equal(bytes, spec.shards * layout.headerBytes + 4 * vectors * layout.parameters);
});

test("a job from nothing can freeze too", async () => {
  const model = { type: "gpt2", layers: 2, heads: 2, width: 12, context: 8 };
  const whole = await startsAt("scratch-start", { model });
  const { directory } = await run("scratch", { model, freeze: ["wpe.*"] });
  const [start, end] = [await parametersOf(whole), await parametersOf(directory)];
  for (const [name, value] of end) {
    const same = Buffer.compare(bytesOf(value), bytesOf(start.get(name) ?? new Float32Array())) === 0;
    assert.equal(same, name.includes("wpe"), name);
  }
});

test("a job with frozen parameters that is resumed ends with the bytes of a straight run", async () => {
  const changes = { freeze: ["h.1.*"], evaluateEvery: 2 };
  const straight = await run("straight", { ...changes, steps: 6 });
  const { spec } = await run("resumed", changes);
  const state = await resumeJob(lab.cloud, (await lab.cloud.jobs.state(spec.name)).state, 6);
  await lab.addWorker(spec.name, "later");
  const ended = await lab.ended(state.job);
  assert.equal(ended.status, "succeeded", ended.reason ?? "");
  assert.equal(ended.checkpoint?.sha256, straight.sha256);
});

test("shorter sequences than the model takes can be trained on", async () => {
  const { spec } = await run("short", { model: { from: "gpt2-F32", context: 5 } });
  const manifest = await lab.cloud.jobs.manifest(spec.name, spec.steps);
  assert.equal(manifest?.data.tokens, spec.steps * spec.ranks * spec.batch * 5);
});

test("frozen parameters that were changed end the job", async () => {
  const { cloud } = lab;
  await startsAt("damaged", { freeze: ["wte.*"] });
  const stored = await cloud.store.get(keys.frozen("damaged"));
  assert.ok(stored);
  const damaged = stored.body.with(stored.body.length - 3, 7);
  await cloud.store.replace(keys.frozen("damaged"), damaged, stored.etag);
  void lab.addWorker("damaged", "victim");
  const state = await lab.ended("damaged");
  assert.match(state.reason ?? "", /frozen\.safetensors is corrupt: its SHA-256 must be/);
  assert.ok(isEnded(state));
});

test("what is stored of a directory is stored once, and the job says which it was", async () => {
  const job = await prepared("stored-once", {});
  assert.ok(job.pretrained && job.spec.model.type === "pretrained");
  await uploadInputs(lab.cloud, job);
  const first = await lab.cloud.store.list(keys.pretrained(job.pretrained.digest, ""));
  await uploadInputs(lab.cloud, job);
  assert.deepEqual(await lab.cloud.store.list(keys.pretrained(job.pretrained.digest, "")), first);
  assert.deepEqual(
    first.map(({ key }) => key.split("/").at(-1)),
    ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"],
  );
  assert.equal(job.spec.model.digest, job.pretrained.digest);
  assert.equal(job.spec.model.config?.n_layer, 2);
});

test("a directory that changes between its check and its upload is refused", async () => {
  writeDirectory(join(folder, "changing"), "gpt2", { config: { note: "one of its kind" } });
  const job = await prepared("changing", { model: { from: "changing" } });
  writeDirectory(join(folder, "changing"), "gpt2", { dtype: "BF16", config: { note: "one of its kind" } });
  await assert.rejects(uploadInputs(lab.cloud, job), {
    message: /model\.safetensors was changed while it was read/,
  });
  const stored = await lab.cloud.store.list(keys.pretrained(job.pretrained?.digest ?? "", "model"));
  assert.deepEqual(stored, []);
});

test("what does not fit is refused before anything is stored, by field", async () => {
  const refuse = (changes: Record<string, unknown>, message: RegExp) =>
    assert.rejects(prepared("unfit", changes), { name: "InvalidInput", message });
  await refuse({ freeze: ["nothing.*"] }, /^unfit: freeze: "nothing\.\*" must match a parameter/);
  await refuse({ freeze: ["*"] }, /^unfit: freeze must leave a parameter to train/);
  await refuse({ model: { from: "absent" } }, /^unfit: model\.from: .*absent must be a directory/);
  await refuse(
    { model: { from: "gpt2-F32", context: 9 } },
    /context must be at most the 8 of config\.json, got 9/,
  );
});
