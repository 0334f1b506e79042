import assert from "node:assert/strict";
import { test } from "node:test";
import { tokensOf } from "../../support/models.ts";
import { fileOf, folderOf, prepare, refuse, some, uint16, uint32 } from "./files.ts";

test("numbers have the width that the vocabulary needs, or that the job says", async () => {
  const ids = some(128_256);
  const wide = fileOf("x.bin", uint32(ids));
  const none = { tokenizer: "char", vocabulary: 128_256 } as const;
  assert.deepEqual(tokensOf(await prepare(wide, none)), ids);
  const narrow = some(50_257);
  assert.deepEqual(tokensOf(await prepare(fileOf("x.bin", uint16(narrow)), { ...none, bits: 16 })), narrow);
  const small = { tokenizer: "char", vocabulary: 50_257 } as const;
  assert.deepEqual(tokensOf(await prepare(fileOf("x.bin", uint32(narrow)), { ...small, bits: 32 })), narrow);
});

test("numbers that look like letters are numbers", async () => {
  const letters = some(64).map((id) => id + 1);
  const none = { tokenizer: "char", vocabulary: 65 } as const;
  assert.deepEqual(tokensOf(await prepare(fileOf("x.bin", uint16(letters)), none)), letters);
  assert.deepEqual(tokensOf(await prepare(fileOf("x.bin", uint32(letters)), { ...none, bits: 32 })), letters);
  await refuse(fileOf("x.bin", uint32(letters)), /looks like 32-bit numbers/, none);
});

test("numbers that can be seen to be of another width are refused with what they look like", async () => {
  const small = { tokenizer: "char", vocabulary: 50_257 } as const;
  const large = { tokenizer: "char", vocabulary: 128_256 } as const;
  const ids = some(50_257);
  const int64 = new Uint8Array(BigInt64Array.from(ids.map(BigInt)).buffer);
  await refuse(
    fileOf("x.bin", uint32(ids)),
    /looks like 32-bit numbers.*every 2nd number is 0; say "bits": 32/,
    small,
  );
  await refuse(fileOf("x.bin", uint32(some(128_256))), /looks like 32-bit numbers.*"bits": 32/, small);
  await refuse(fileOf("x.bin", int64), /looks like 64-bit numbers.*3 of 4 numbers are 0.*astype/, small);
  await refuse(fileOf("x.bin", int64), /looks like 64-bit numbers.*every 2nd number is 0.*astype/, large);
  await refuse(
    fileOf("x.bin", uint16(ids)),
    /must be below the vocabulary.*looks like 16-bit.*"bits": 16/,
    large,
  );
  await refuse(fileOf("x.bin", uint32(ids).reverse()), /looks like big-endian 32-bit numbers/, small);
  await refuse(fileOf("x.bin", uint16(some(60)).reverse()), /looks like big-endian 16-bit/, {
    ...small,
    vocabulary: 60,
  });
  await refuse(fileOf("x.bin", Uint8Array.from(some(65))), /looks like 8-bit numbers/, {
    ...small,
    vocabulary: 65,
  });
  await refuse(fileOf("x.bin", new Uint8Array(6)), /must hold 32-bit numbers, got 6 bytes/, {
    ...small,
    bits: 32,
  });
  await refuse(
    fileOf("x.bin", "To be, or not to be. ".repeat(10)),
    /is text, and \.bin is for tokens/,
    small,
  );
});

test("the header of llm.c says width and length", async () => {
  const header = (magic: number, tokens: number) => uint32([magic, 1, tokens, ...new Array(253).fill(0)]);
  const of = (...parts: Uint8Array[]) => fileOf("fineweb_train.bin", Buffer.concat(parts));
  const [small, large] = [some(50_257), some(128_256)];
  const none = { tokenizer: "char", vocabulary: 50_257 } as const;
  assert.deepEqual(tokensOf(await prepare(of(header(20240520, 2000), uint16(small)), none)), small);
  const llama = of(header(20240801, 2000), uint32(large));
  assert.deepEqual(tokensOf(await prepare(llama, { ...none, vocabulary: 128_256 })), large);
  await refuse(
    of(header(20240520, 1999), uint16(small)),
    /must be 5022 bytes, as its header promises 1999 tokens/,
    none,
  );
});

test("val.bin beside train.bin is held out, and what is no .bin beside them is left out", async () => {
  const folder = folderOf({
    "train.bin": uint16(some(100)),
    "val.bin": uint16([1, 2, 3]),
    "meta.pkl": Uint8Array.of(0x80),
    "input.txt": "hi\n",
  });
  let left: readonly string[] = [];
  const { meta, tokens } = await prepare(folder, {
    tokenizer: "char",
    vocabulary: 100,
    onSources: ({ leftOut }) => {
      left = leftOut.map(({ name }) => name.slice(folder.length + 1));
    },
  });
  assert.equal(meta.heldOut, 3);
  assert.deepEqual([meta.tokens, tokensOf({ tokens } as never).slice(-3)], [2003, [1, 2, 3]]);
  assert.deepEqual([...left].sort(), ["input.txt", "meta.pkl"]);
});
