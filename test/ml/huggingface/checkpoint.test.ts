import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { CorruptData, InvalidInput } from "../../../protocol/errors.ts";
import { normals, TEXT, writeCheckpoint } from "../../support/models.ts";
import { readCheckpoint } from "./read-checkpoint.ts";

const root = mkdtempSync(join(tmpdir(), "ps-checkpoint-"));
after(() => rmSync(root, { recursive: true, force: true }));

const written = mkdtempSync(join(root, "written-"));
await writeCheckpoint(written, TEXT);

function checkpoint(): string {
  const directory = mkdtempSync(join(root, "c-"));
  cpSync(written, directory, { recursive: true });
  return directory;
}

/** Changes fields of a checkpoint's config. */
function configure(directory: string, changes: Record<string, unknown>): void {
  const path = join(directory, "config.json");
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), ...changes }));
}

/** Replaces the header of a checkpoint's model.safetensors. */
function changeHeader(directory: string, change: (header: Record<string, Entry>) => unknown): void {
  const path = join(directory, "model.safetensors");
  const file = readFileSync(path);
  const end = 8 + Number(file.readBigUInt64LE(0));
  const header = Buffer.from(JSON.stringify(change(JSON.parse(file.subarray(8, end).toString()))));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(path, Buffer.concat([size, header, file.subarray(end)]));
}
type Entry = { dtype: string; shape: number[]; data_offsets: number[] };

test("a checkpoint is read back as it was written, in any order of its tensors", async () => {
  const directory = checkpoint();
  changeHeader(directory, (header) => Object.fromEntries(Object.entries(header).reverse()));
  const { config, parameters, tokenizer } = await readCheckpoint(directory);
  const { special: _, ...sizes } = config;
  assert.deepEqual(sizes, { layers: 2, heads: 2, width: 12, context: 8, vocabulary: new Set(TEXT).size });
  assert.equal(tokenizer.decode(tokenizer.encode(TEXT)), TEXT);
  // The file has the tensors in the order of their names, so sorted values are the whole vector.
  const sorted = parameters.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const values = sorted.flatMap((parameter) => [...parameter.values]);
  assert.deepEqual(values, [...normals("theta", values.length, 0.3)]);
});

test("a file that is missing is named", async () => {
  for (const name of ["config.json", "tokenizer.json", "model.safetensors"]) {
    const directory = checkpoint();
    rmSync(join(directory, name));
    await assert.rejects(readCheckpoint(directory), (error) => {
      assert.ok(error instanceof InvalidInput);
      return error.message.includes(name) && /is not there|has no/.test(error.message);
    });
  }
});

test("a config that this model can't follow is refused by field", async () => {
  const wrong = {
    model_type: "mamba",
    n_head: 5,
    n_embd: 0,
    n_layer: 1.5,
    n_positions: 1e300,
    activation_function: "relu",
    layer_norm_epsilon: 1e-6,
    n_inner: 7,
    tie_word_embeddings: false,
    vocab_size: 10,
  };
  for (const [field, value] of Object.entries(wrong)) {
    const directory = checkpoint();
    configure(directory, { [field]: value });
    await assert.rejects(readCheckpoint(directory), (error) => {
      assert.ok(error instanceof CorruptData || error instanceof InvalidInput, String(error));
      return /config\.json/.test(error.message) && (field === "vocab_size" || error.message.includes(field));
    });
  }
});

test("a config that promises more than the file has is refused before memory is taken", async () => {
  const layers = checkpoint();
  configure(layers, { n_layer: 10_000_000 });
  await assert.rejects(readCheckpoint(layers), { message: /must have 120000004 tensors .* got 28/ });
  const wide = checkpoint();
  configure(wide, { n_embd: 16_000_000 });
  await assert.rejects(readCheckpoint(wide), {
    name: "CorruptData",
    message: /needs transformer\.wte\.weight of shape \[38,16000000\], got \[38,12\]/,
  });
});

test("tensors that are missing, unknown or of another shape are each named", async () => {
  const directory = checkpoint();
  changeHeader(directory, (header) => {
    const { "transformer.ln_f.bias": bias, "transformer.wte.weight": table, ...rest } = header;
    return {
      ...rest,
      "transformer.ln_f.offset": bias,
      "transformer.wte.weight": { ...table, shape: [12, 38] },
    };
  });
  await assert.rejects(readCheckpoint(directory), (error) => {
    assert.ok(error instanceof CorruptData);
    const lines = error.message.split("\n").map((line) => line.replace(/^.*config\.json /, ""));
    assert.deepEqual(lines, [
      "does not know transformer.ln_f.offset",
      "needs transformer.wte.weight of shape [38,12], got [12,38]",
      "needs transformer.ln_f.bias of shape [12]",
    ]);
    return true;
  });
});

test("a file that is truncated, altered or hostile is refused", async () => {
  const refuse = async (change: (path: string, directory: string) => void, message: RegExp) => {
    const directory = checkpoint();
    change(join(directory, "model.safetensors"), directory);
    await assert.rejects(readCheckpoint(directory), (error) => {
      assert.ok(error instanceof CorruptData, String(error));
      assert.match(error.message, message);
      return true;
    });
  };
  await refuse((path) => truncateSync(path, readFileSync(path).length - 4), /bytes, its header promises/);
  await refuse((path) => truncateSync(path, 100), /is truncated/);
  await refuse((path) => truncateSync(path, 0), /too short/);
  await refuse((path) => writeFileSync(path, Buffer.alloc(64, 0xff)), /is truncated: its header says/);
  const entry = (changes: object) => (_: string, directory: string) =>
    changeHeader(directory, (header) => ({
      ...header,
      "transformer.wpe.weight": { ...header["transformer.wpe.weight"], ...changes },
    }));
  await refuse(entry({ dtype: "F16" }), /wpe\.weight has shape \[8,12\] but 384 bytes/);
  await refuse(entry({ dtype: "F4" }), /wpe\.weight must be one of F64, .*, got F4/);
  await refuse(entry({ dtype: "I32" }), /needs transformer\.wpe\.weight as F32, F16 or BF16, got I32/);
  await refuse(entry({ data_offsets: [-384, 0] }), /no shape or offsets/);
  await refuse(entry({ data_offsets: [1e9, 1e9 + 384] }), /its header promises/);
});
