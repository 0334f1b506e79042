import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { clientConfig } from "../../../cloud/connect.ts";
import { Playground } from "../command.ts";
import { startFakeServices } from "../fake-services.ts";

/** A user's own AWS settings do not reach jobs that run on this machine, however broken they are. */

const playground = new Playground();
after(() => playground.close());

const job = {
  name: "here",
  model: { type: "linear", inputs: 4, outputs: 4 },
  data: { type: "linear" },
  optimizer: { type: "sgd", learningRate: 0.1 },
  ...{ steps: 3, batch: 8, backend: "wasm" },
};

test("a job of this machine reads no AWS file and no AWS variable", async () => {
  const home = join(playground.directory, "home");
  mkdirSync(join(home, ".aws"), { recursive: true });
  const settings = [
    "use_fips_endpoint = true",
    "max_attempts = many",
    "retry_mode = bold",
    "region = nowhere",
  ];
  writeFileSync(join(home, ".aws", "config"), ["[default]", ...settings, ""].join("\n"));
  const environment = {
    HOME: home,
    AWS_PROFILE: "missing",
    AWS_MAX_ATTEMPTS: "many",
    AWS_USE_DUALSTACK_ENDPOINT: "perhaps",
    AWS_DEFAULTS_MODE: "bold",
    AWS_ENDPOINT_URL_S3: "http://127.0.0.1:9",
    AWS_ENDPOINT_URL_SQS: "http://127.0.0.1:9",
    AWS_ACCESS_KEY_ID: "AKIA",
  };
  const there = new Playground(environment);
  there.write("job.json", job);
  const { code, stdout, stderr } = await there.run("job.json");
  const list = await there.run("list");
  await there.close();
  assert.equal(code, 0, stdout + stderr);
  assert.match(list.stdout, /^here +succeeded/m, list.stderr);
});

test("--profile leads a stack's clients to its keys and region, past keys in the environment and without a warning", async () => {
  const services = await startFakeServices({});
  const home = join(playground.directory, "home-of-work");
  mkdirSync(join(home, ".aws"), { recursive: true });
  writeFileSync(join(home, ".aws", "config"), "[profile work]\nregion = eu-central-1\n");
  writeFileSync(
    join(home, ".aws", "credentials"),
    "[work]\naws_access_key_id = AKIAWORK\naws_secret_access_key = s\n",
  );
  const there = new Playground({
    HOME: home,
    AWS_ACCESS_KEY_ID: "AKIAOTHER",
    AWS_SECRET_ACCESS_KEY: "s",
    AWS_ENDPOINT_URL_SSM: services.endpoint,
  });
  const { code, stderr } = await there.run("list", "--stack", "mine", "--profile", "work");
  await there.close();
  services.close();
  assert.equal(code, 2);
  assert.match(stderr, /^error: there is no stack mine in eu-central-1, nor any other; [^\n]*\n$/);
});

test("a profile is handed to the clients, unless the environment has keys", () => {
  const keys = { AWS_ACCESS_KEY_ID: "AKIA", AWS_SECRET_ACCESS_KEY: "s" };
  const { profile } = clientConfig({ AWS_PROFILE: "work" });
  assert.equal(profile, "work");
  assert.equal("profile" in clientConfig({ AWS_PROFILE: "work", ...keys }), false);
});
