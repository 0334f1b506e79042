import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { decompressHadoopLz4, decompressLz4 } from "../../../ml/data/lz4.ts";
import { read, refuse } from "./files.ts";

const parquet = (name: string) => fileURLToPath(new URL(`./parquet/${name}.parquet`, import.meta.url));

test("the texts of parquet may be fields of a column; one in a list is named", async () => {
  const documents = ["first document\n", "zweites Dokument: äöü 世界 🙂", "last, and a repeat. ".repeat(20)];
  assert.deepEqual((await read(parquet("nested"), { field: "meta.a.b.text" })).documents, documents);
  await refuse(
    parquet("nested"),
    /no column "text", but "meta\.a\.b\.text"; data\.field must be one of meta\.a\.b\.text, meta\.n/,
  );
  await refuse(parquet("nested"), /no column "content": it is in the list "turns"/, { field: "content" });
  await refuse(parquet("nested"), /"turns\.list\.element\.content" is in the list "turns"/, {
    field: "turns.list.element.content",
  });
  await refuse(parquet("nested"), /"meta" is no text but a group of fields; .* meta\.a\.b\.text, meta\.n/, {
    field: "meta",
  });
});

test("a row of parquet that is not UTF-8 is refused, and no byte is lost", async () => {
  assert.deepEqual((await read(parquet("binary"), { field: "good" })).documents, ["\uFEFFbom", "ok", "also"]);
  for (const name of ["binary", "not-utf8"]) {
    await refuse(parquet(name), /row 2 must have UTF-8 text in "text", its 4 bytes are not/);
  }
});

test("an LZ4 block is unpacked, plain and by Hadoop's rule, and a damaged one refused", () => {
  const text = Buffer.from(`${"to be or not to be, that is; ".repeat(12)}end of it.`);
  // By pyarrow: pa.Codec("lz4_raw").compress(text)
  const block = Buffer.from(
    "d1746f206265206f72206e6f74200d00a22c20746861742069733b10000f1d00ff28a0656e64206f662069742e",
    "hex",
  );
  assert.deepEqual(Buffer.from(decompressLz4(block, text.length)), text);
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32BE(text.length);
  lengths.writeUInt32BE(block.length, 4);
  const twice = Buffer.concat([lengths, block, lengths, block]);
  assert.deepEqual(Buffer.from(decompressHadoopLz4(twice, 2 * text.length)), Buffer.concat([text, text]));
  assert.deepEqual(Buffer.from(decompressHadoopLz4(block, text.length)), text);
  for (let at = 0; at < block.length; at++) {
    assert.throws(() => decompressLz4(block.subarray(0, at), text.length), { name: "CorruptData" });
  }
  assert.throws(() => decompressLz4(Buffer.from("10610500", "hex"), 9), { name: "CorruptData" });
});
