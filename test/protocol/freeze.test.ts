import assert from "node:assert/strict";
import { test } from "node:test";
import { divide } from "../../protocol/freeze.ts";

const parameters = [
  "transformer.wte.weight",
  "transformer.h.1.ln_1.bias",
  "transformer.h.1.attn.c_attn.weight",
  "transformer.h.11.ln_1.bias",
  "transformer.h.11.ln_1[x].bias",
].map((name) => ({ name, shape: [2] }));

const frozenBy = (...patterns: string[]) => divide(parameters, patterns).frozen.map(({ name }) => name);

test("a pattern matches names from their start or from a dot on, to the end", () => {
  assert.deepEqual(frozenBy("wte.*"), ["transformer.wte.weight"]);
  assert.deepEqual(frozenBy("transformer.wte.weight"), ["transformer.wte.weight"]);
  assert.deepEqual(frozenBy("h.1.*"), ["transformer.h.1.ln_1.bias", "transformer.h.1.attn.c_attn.weight"]);
  assert.deepEqual(frozenBy("h.1?.ln_1.*"), ["transformer.h.11.ln_1.bias"]);
  assert.deepEqual(frozenBy("ln_1[x].bias"), ["transformer.h.11.ln_1[x].bias"]);
  assert.deepEqual(frozenBy("h.1.ln_1.bias", "*.weight").length, 3);
  assert.deepEqual(frozenBy(), []);
});

test("what is not frozen is trained, in the order given", () => {
  const { trained, frozen } = divide(parameters, ["*.bias"]);
  assert.equal(trained.length + frozen.length, parameters.length);
  assert.deepEqual(trained, [parameters[0], parameters[2]]);
});

test("a pattern that matches nothing is an error that lists names, each pattern on its own", () => {
  assert.throws(
    () => divide(parameters, ["te.*", "wte.*", "layer.0"]),
    (error: Error) => {
      const lines = error.message.split("\n");
      assert.equal(lines.length, 2);
      assert.match(
        lines[0] ?? "",
        /^freeze: "te\.\*" must match a parameter of the model, which has transformer\.wte/,
      );
      assert.match(lines[1] ?? "", /^freeze: "layer\.0" must match/);
      return true;
    },
  );
});

test("freezing everything is an error", () => {
  assert.throws(() => divide(parameters, ["*"]), {
    message: /freeze must leave a parameter to train, got all 5/,
  });
});
