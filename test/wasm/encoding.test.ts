import assert from "node:assert/strict";
import { test } from "node:test";
import { leb, list, section, signedLeb, text } from "../../wasm/encoding.ts";

test("unsigned numbers are LEB128", () => {
  assert.deepEqual(leb(0), [0]);
  assert.deepEqual(leb(127), [0x7f]);
  assert.deepEqual(leb(128), [0x80, 1]);
  assert.deepEqual(leb(624_485), [0xe5, 0x8e, 0x26]);
  assert.deepEqual(leb(2 ** 32 - 1), [0xff, 0xff, 0xff, 0xff, 0x0f]);
});

test("signed numbers are LEB128 whose last byte has the sign", () => {
  assert.deepEqual(signedLeb(0), [0]);
  assert.deepEqual(signedLeb(63), [0x3f]);
  assert.deepEqual(signedLeb(64), [0xc0, 0]);
  assert.deepEqual(signedLeb(-1), [0x7f]);
  assert.deepEqual(signedLeb(-64), [0x40]);
  assert.deepEqual(signedLeb(-65), [0xbf, 0x7f]);
  assert.deepEqual(signedLeb(-123_456), [0xc0, 0xbb, 0x78]);
});

test("lists and texts begin with their lengths, sections with a number and theirs", () => {
  assert.deepEqual(list([[1, 2], [3]]), [2, 1, 2, 3]);
  assert.deepEqual(text("é"), [2, 0xc3, 0xa9]);
  assert.deepEqual(section(7, [[1, 2], [3]]), [7, 4, 2, 1, 2, 3]);
  assert.equal(section(1, [Array<number>(200).fill(0)]).length, 1 + 2 + 1 + 200);
});
