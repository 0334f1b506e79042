import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { widen } from "../../../ml/huggingface/dtype.ts";
import { localFolder } from "../../../ml/huggingface/folder.ts";
import { inspectDirectory } from "../../../ml/huggingface/inspect.ts";
import { matchWeights } from "../../../ml/huggingface/match.ts";
import { openWeights } from "../../../ml/huggingface/weights.ts";
import { familyOf } from "../../../ml/models/registry.ts";
import { PsError } from "../../../protocol/errors.ts";
import { elements } from "../../../protocol/safetensors.ts";
import { type Dtype, GPT2, type Options, type StoredTensor, writeDirectory } from "./fixture.ts";
import { readCheckpoint } from "./read-checkpoint.ts";

const root = mkdtempSync(join(tmpdir(), "ps-import-"));
after(() => rmSync(root, { recursive: true, force: true }));
let directories = 0;

function directoryOf(type: "gpt2" | "bert" | "llama", options?: Options) {
  const directory = join(root, String(directories++));
  return { directory, values: writeDirectory(directory, type, options) };
}

async function refusal(directory: string): Promise<string[]> {
  const error = await inspectDirectory(directory).then(
    () => assert.fail("it was accepted"),
    (error: unknown) => error,
  );
  assert.ok(error instanceof PsError && !error.retryable, String(error));
  return error.message.split("\n");
}

const rename = (from: RegExp, to: string) => (tensors: Map<string, StoredTensor>) => {
  for (const [name, tensor] of [...tensors]) {
    tensors.delete(name);
    tensors.set(name.replace(from, to), tensor);
  }
};

test("every half-precision number becomes the float that Node says it is", () => {
  const halves = new DataView(new ArrayBuffer(2)) as DataView & { getFloat16(at: number): number };
  const all = new Float32Array(1 << 16);
  new Uint16Array(all.buffer, 1 << 17).set(Uint16Array.from({ length: 1 << 16 }, (_, bits) => bits));
  widen(all, "F16");
  for (const [bits, value] of all.entries()) {
    halves.setUint16(0, bits);
    assert.ok(Object.is(value, halves.getFloat16(0)), `0x${bits.toString(16)} is ${value}`);
  }
});

for (const dtype of ["F32", "F16", "BF16"] satisfies Dtype[]) {
  for (const files of [1, 3]) {
    test(`${dtype} weights in ${files} file(s) are read as they were written, whole and in parts`, async () => {
      const { directory, values } = directoryOf("gpt2", { dtype, files });
      await inspectDirectory(directory);
      const weights = await openWeights(localFolder(directory));
      const { parameters, stored } = matchWeights(weights, familyOf("gpt2"), GPT2);
      for (const { name, shape } of parameters) {
        const expected = values.get(name);
        assert.ok(expected);
        assert.deepEqual(await weights.read(stored.get(name) ?? ""), expected, name);
        const [start, end] = [Math.floor(elements(shape) / 3), elements(shape) - 1];
        const part = new Float32Array(end - start);
        await weights.readPart(stored.get(name) ?? "", start, part);
        assert.deepEqual(part, expected.slice(start, end), name);
      }
      await weights.close();
    });
  }
}

test("a directory's digest is that of its content, not of its place", async () => {
  const [one, same, other] = [
    directoryOf("gpt2"),
    directoryOf("gpt2"),
    directoryOf("gpt2", { dtype: "F16" }),
  ];
  const digests = await Promise.all([one, same, other].map(({ directory }) => inspectDirectory(directory)));
  assert.equal(digests[0]?.digest, digests[1]?.digest);
  assert.notEqual(digests[0]?.digest, digests[2]?.digest);
  writeFileSync(join(same.directory, "tokenizer_config.json"), "{}");
  assert.notEqual((await inspectDirectory(same.directory)).digest, digests[0]?.digest);
  writeFileSync(join(one.directory, "README.md"), "not taken along");
  assert.equal((await inspectDirectory(one.directory)).digest, digests[0]?.digest);
});

test("names and buffers as on the hub, and copies of tied tensors, are understood", async () => {
  const hub = directoryOf("gpt2", {
    change(tensors) {
      rename(/^transformer\./, "")(tensors);
      const mask = { dtype: "F32", shape: [1, 1, 8, 8], bytes: new Uint8Array(256) };
      for (const layer of [0, 1]) {
        tensors.set(`h.${layer}.attn.bias`, mask);
        tensors.set(`h.${layer}.attn.masked_bias`, { ...mask, shape: [], bytes: new Uint8Array(4) });
      }
      tensors.set("lm_head.weight", tensors.get("wte.weight") ?? mask);
    },
  });
  assert.deepEqual((await inspectDirectory(hub.directory)).notes, []);
  const bert = directoryOf("bert", {
    change(tensors) {
      rename(/LayerNorm\.weight$/, "LayerNorm.gamma")(tensors);
      rename(/LayerNorm\.bias$/, "LayerNorm.beta")(tensors);
      tensors.set("bert.pooler.dense.bias", { dtype: "F32", shape: [15], bytes: new Uint8Array(60) });
      tensors.set("bert.embeddings.position_ids", { dtype: "I64", shape: [1, 8], bytes: new Uint8Array(64) });
      const bias = tensors.get("cls.predictions.bias");
      assert.ok(bias);
      tensors.set("cls.predictions.decoder.bias", bias);
    },
  });
  assert.deepEqual((await inspectDirectory(bert.directory)).notes, []);
});

test("a BERT without the masked language model's head gets a fresh one, said aloud", async () => {
  const { directory } = directoryOf("bert", {
    change(tensors) {
      for (const name of [...tensors.keys()]) if (name.startsWith("cls.")) tensors.delete(name);
      rename(/^bert\./, "")(tensors);
    },
  });
  const { notes } = await inspectDirectory(directory);
  assert.match(
    notes.join(),
    /has no masked language model's head: \d tensors start afresh \(cls\.predictions/,
  );
});

/** Stores another tensor as the copy of a tied one. */
const withOwnHead = (table: string, head: string): Options => ({
  config: { tie_word_embeddings: true },
  change(tensors) {
    const tensor = tensors.get(table);
    assert.ok(tensor);
    const bytes = tensor.bytes.slice();
    bytes[4 * 7 + 2] = (bytes[4 * 7 + 2] ?? 0) ^ 1;
    tensors.set(head, { ...tensor, bytes });
  },
});

for (const [type, table] of [
  ["gpt2", "transformer.wte.weight"],
  ["llama", "model.embed_tokens.weight"],
] as const) {
  test(`${type}: a head that config.json ties and that is stored with values of its own is kept, said aloud`, async () => {
    const { directory } = directoryOf(type, withOwnHead(table, "lm_head.weight"));
    const { notes, config } = await inspectDirectory(directory);
    assert.match(notes.join(), /lm_head\.weight is not \S+, to which config\.json ties it: both are kept/);
    assert.equal(config.tie_word_embeddings, false);
    const { parameters } = await readCheckpoint(directory);
    const values = (name: string) => parameters.find((parameter) => parameter.name === name)?.values;
    assert.notEqual(values("lm_head.weight")?.[7], values(table)?.[7]);
    assert.equal(values("lm_head.weight")?.[8], values(table)?.[8]);
  });
}

test("bert: a head that differs from the table of words is refused by name", async () => {
  const { directory } = directoryOf(
    "bert",
    withOwnHead("bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"),
  );
  assert.match(
    (await refusal(directory)).join(),
    /cls\.predictions\.decoder\.weight must equal bert\.embeddings\.word_embeddings\.weight.*element 7 differs/,
  );
});

test("a config without a tied head, and no head among the weights, is refused by its field", async () => {
  const { directory } = directoryOf("gpt2", { config: { tie_word_embeddings: false } });
  assert.match(
    (await refusal(directory)).join(),
    /tie_word_embeddings must be true, got false: .* no lm_head/,
  );
});

test("tensors that are missing, left over, or wrong are named one by one", async () => {
  const { directory } = directoryOf("gpt2", {
    change(tensors) {
      const take = (name: string) => {
        const tensor = tensors.get(name);
        assert.ok(tensor);
        tensors.delete(name);
        return tensor;
      };
      tensors.set("transformer.ln_f.offset", take("transformer.ln_f.bias"));
      tensors.set("transformer.wpe.weight", { ...take("transformer.wpe.weight"), shape: [12, 8] });
      tensors.set("transformer.ln_f.weight", { dtype: "I32", shape: [12], bytes: new Uint8Array(48) });
      tensors.set("h.0.ln_1.bias", { dtype: "F32", shape: [12], bytes: new Uint8Array(48) });
    },
  });
  const lines = (await refusal(directory)).map((line) => line.replace(/^.*config\.json /, ""));
  assert.deepEqual(lines.sort(), [
    "does not know transformer.ln_f.offset",
    "has transformer.h.0.ln_1.bias once, got transformer.h.0.ln_1.bias and h.0.ln_1.bias",
    "needs transformer.ln_f.bias of shape [12]",
    "needs transformer.ln_f.weight as F32, F16 or BF16, got I32",
    "needs transformer.wpe.weight of shape [8,12], got [12,8]",
  ]);
});

test("weights in pickle format are refused with the command that converts them", async () => {
  const { directory } = directoryOf("gpt2");
  renameSync(join(directory, "model.safetensors"), join(directory, "pytorch_model.bin"));
  assert.match(
    (await refusal(directory)).join(),
    /pytorch_model\.bin.*convert it once with: python -c '.*save_pretrained/,
  );
});

test("what is not a model's directory is refused in words", async () => {
  assert.match((await refusal(join(root, "nowhere"))).join(), /must be a directory with config\.json/);
  const { directory } = directoryOf("gpt2", { config: { model_type: "t5" } });
  assert.match((await refusal(directory)).join(), /config\.json: model_type must be "gpt2" or .*got "t5"/);
  const quantized = directoryOf("gpt2", { config: { quantization_config: { bits: 4 } } });
  assert.match((await refusal(quantized.directory)).join(), /must not have quantization_config/);
  const deep = directoryOf("gpt2", { config: { n_layer: 10_000_000 } });
  assert.match((await refusal(deep.directory)).join(), /must have 120000004 tensors for the 10000000 layers/);
  const broken = directoryOf("gpt2");
  writeFileSync(join(broken.directory, "config.json"), "[1]");
  assert.match((await refusal(broken.directory)).join(), /must hold a JSON object/);
});

test("hostile files are refused before memory is taken by what they say", async () => {
  const refuse = async (file: string, content: string | Uint8Array, message: RegExp, files = 1) => {
    const { directory } = directoryOf("gpt2", { files });
    writeFileSync(join(directory, file), content);
    assert.match((await refusal(directory)).join(), message);
  };
  const length = (n: bigint) => {
    const bytes = Buffer.alloc(64);
    bytes.writeBigUInt64LE(n);
    return bytes;
  };
  await refuse(
    "model.safetensors",
    length(2n ** 63n),
    /is truncated: its header says 9223372036854775808 bytes/,
  );
  await refuse("model.safetensors", "short", /too short/);
  await refuse(
    "model.safetensors",
    Buffer.concat([length(56n).subarray(0, 8), Buffer.alloc(56, "x")]),
    /not JSON/,
  );
  const index = "model.safetensors.index.json";
  await refuse(index, JSON.stringify({ weight_map: { a: "../../etc/passwd" } }), /of its own folder/, 3);
  await refuse(index, JSON.stringify({ weight_map: { a: "absent.safetensors" } }), /absent\.safetensors/, 3);
  await refuse(index, JSON.stringify({}), /weight_map/, 3);
});

test("a file of a model that was never downloaded is named for what it is", async () => {
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 548105171\n`;
  for (const [name, content, message] of [
    ["model.safetensors", pointer, /model\.safetensors is a Git LFS pointer.*; run git lfs pull/],
    ["config.json", pointer, /config\.json is a Git LFS pointer.*; run git lfs pull/],
    ["model.safetensors", "<!doctype html><html></html>", /model\.safetensors is an HTML page; /],
  ] as const) {
    const { directory } = directoryOf("gpt2");
    writeFileSync(join(directory, name), content);
    await assert.rejects(inspectDirectory(directory), { name: "InvalidInput", message });
  }
});
