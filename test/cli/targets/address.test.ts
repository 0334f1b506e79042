import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type AddressOptions,
  commandFor,
  folderOfEndpoint,
  parseAddress,
} from "../../../cli/targets/address.ts";
import { explainAws } from "../../../cli/targets/aws.ts";
import { poolOf, stackFrom } from "../../../cli/targets/stack-parameters.ts";
import { InvalidInput } from "../../../protocol/errors.ts";

type Env = Record<string, string | undefined>;

const parse = (options: AddressOptions, env: Env = {}) =>
  parseAddress(options, { PS_DATA_DIR: "/data", ...env });

test("without options jobs are on this machine, and what is read from S3 is read with the user's AWS settings", () => {
  const { kind, where, flags, note, dataDir, cache, environment } = parse(
    {},
    { AWS_PROFILE: "work", PS_CACHE_DIR: "/cache" },
  );
  assert.deepEqual(
    { kind, where, flags, note, dataDir, cache },
    { kind: "embedded", where: "in /data", flags: "", note: null, dataDir: "/data", cache: "/cache" },
  );
  assert.equal(environment.AWS_PROFILE, "work");
});

test("the environment that is parsed stays as it is", () => {
  const env = Object.freeze({ AWS_ACCESS_KEY_ID: "AKIA", AWS_REGION: "y" });
  const { environment } = parseAddress({ stack: "a", region: "x", profile: "work" }, env);
  assert.deepEqual(env, { AWS_ACCESS_KEY_ID: "AKIA", AWS_REGION: "y" });
  assert.deepEqual([environment.AWS_REGION, environment.AWS_ACCESS_KEY_ID], ["x", undefined]);
});

test("an endpoint is chosen by its option, or by AWS_ENDPOINT_URL, which is said", () => {
  const byOption = parse({ endpointUrl: "http://localhost:4566/" });
  assert.ok(byOption.kind === "endpoint");
  assert.deepEqual([byOption.endpoint, byOption.note], ["http://localhost:4566", null]);
  const byVariable = parse({}, { AWS_ENDPOINT_URL: "http://localhost:4566" });
  assert.deepEqual({ ...byVariable, note: null }, byOption);
  assert.equal(byVariable.note, "on http://localhost:4566, as AWS_ENDPOINT_URL says");
  assert.equal(folderOfEndpoint({ ...byOption, endpoint: "https://s3.test" }), "/data/endpoints/s3.test-443");
});

test("an empty variable counts as absent", () => {
  const { kind, environment } = parse({}, { PS_STACK: "", AWS_ENDPOINT_URL: "", PS_CACHE_DIR: "" });
  assert.deepEqual([kind, environment.AWS_ENDPOINT_URL], ["embedded", undefined]);
});

test("a stack is chosen by --stack or PS_STACK, with or without an endpoint that plays AWS", () => {
  const { kind, where, flags } = parse({ stack: "mine" });
  assert.deepEqual([kind, where, flags], ["stack", "on stack mine", " --stack mine"]);
  const both = parse({ region: "eu-west-1", endpointUrl: "http://localhost:1" }, { PS_STACK: "mine" });
  assert.ok(both.kind === "stack");
  assert.equal(both.stack, "mine");
  const { AWS_REGION, AWS_ENDPOINT_URL } = both.environment;
  assert.deepEqual([AWS_REGION, AWS_ENDPOINT_URL, both.note], ["eu-west-1", "http://localhost:1", null]);
  assert.equal(parse({}, { PS_STACK: "mine" }).note, "on stack mine, as PS_STACK says");
});

test("--profile wins over keys in the environment, --region over AWS_REGION, and that over AWS_DEFAULT_REGION", () => {
  const keys = { AWS_ACCESS_KEY_ID: "AKIA", AWS_SECRET_ACCESS_KEY: "s", AWS_SESSION_TOKEN: "t" };
  const { environment } = parse(
    { stack: "a", profile: "work" },
    { ...keys, AWS_DEFAULT_REGION: "eu-north-1" },
  );
  assert.deepEqual(
    [environment.AWS_PROFILE, environment.AWS_ACCESS_KEY_ID, environment.AWS_SESSION_TOKEN],
    ["work", undefined, undefined],
  );
  assert.equal(environment.AWS_REGION, "eu-north-1");
  assert.equal(parse({ stack: "a", region: "x" }, { AWS_REGION: "y" }).environment.AWS_REGION, "x");
});

test("what can't be is refused with the rule and the value", () => {
  for (const [options, problem] of [
    [{ stack: "My_Stack" }, /--stack \(PS_STACK\) must be 1 to 16 lower-case letters.*got "My_Stack"/],
    [{ stack: "a-name-of-17-char" }, /1 to 16 lower-case/],
    [{ stack: "" }, /--stack \(PS_STACK\) must be .*got ""/],
    [{ endpointUrl: "" }, /--endpoint-url \(AWS_ENDPOINT_URL\) must be a URL.*got ""/],
    [
      { endpointUrl: "http://me:secret@localhost:4566" },
      /must not hold a user's name or password(?!.*secret)/,
    ],
    [
      { endpointUrl: "localhost:4566" },
      /must be a URL such as http:\/\/localhost:4566, got "localhost:4566"/,
    ],
    [{ endpointUrl: "https://s3.eu-west-1.amazonaws.com" }, /must not be AWS itself.*use --stack NAME/],
    [{ region: "eu-west-1" }, /--region goes with --stack NAME or --endpoint-url URL/],
    [{ profile: "work" }, /--profile goes with --stack/],
  ] as const) {
    assert.throws(
      () => parse(options),
      (error) => error instanceof InvalidInput && problem.test(error.message),
    );
  }
});

test("a recommended command finds the same place", () => {
  assert.equal(commandFor(parse({}), "watch a"), "npx ps-submit watch a");
  assert.equal(commandFor(parse({ stack: "mine" }), "watch a"), "npx ps-submit watch a --stack mine");
  assert.equal(
    commandFor(parse({ endpointUrl: "http://localhost:1" }), "watch a"),
    "npx ps-submit watch a --endpoint-url http://localhost:1",
  );
});

const server = {
  ...{ bucket: "b", "updates-url": "u", "queue-prefix": "mine-" },
  ...{ "logs/updates": "l1", "logs/dead-letters": "l2", "logs/watchdog": "l3" },
};
const cpu = { "job-queue/cpu": "mine-cpu", "job-definition/cpu": "arn:cpu:1", "image/cpu": "image:1" };

test("a stack is what its parameters say; without workers it says which stack to deploy", () => {
  const bare = stackFrom("mine", new Map(Object.entries(server)));
  assert.equal(bare.workers, null);
  assert.throws(() => poolOf(bare, "gpu"), /has no workers; deploy mine-Workers/);
  const whole = stackFrom("mine", new Map(Object.entries({ ...server, ...cpu, "logs/workers": "lw" })));
  assert.deepEqual(poolOf(whole, "cpu"), {
    queue: "mine-cpu",
    definition: "arn:cpu:1",
    image: "image:1",
  });
  assert.throws(() => poolOf(whole, "gpu"), /the stack mine has no gpu workers; it has cpu/);
  const { bucket: _, ...damaged } = server;
  assert.throws(
    () => stackFrom("mine", new Map(Object.entries(damaged))),
    /lacks the SSM parameters \/serverless-ps\/mine\/bucket; deploy mine-ParameterServer again/,
  );
});

test("errors on the way to AWS say what to do", () => {
  const named = (name: string, message: string) => Object.assign(new Error(message), { name });
  for (const [error, advice] of [
    [
      named("CredentialsProviderError", "Could not load credentials from any providers"),
      /no AWS credentials were found; run `aws configure`/,
    ],
    [new Error("Region is missing"), /no AWS region is set; give --region/],
    [
      named("ExpiredTokenException", "The security token included in the request is expired"),
      /have expired; log in again/,
    ],
    [
      named("UnrecognizedClientException", "The security token included in the request is invalid."),
      /does not know these credentials/,
    ],
    [
      named("AccessDeniedException", "User x is not authorized to perform: ssm:GetParametersByPath"),
      /policy for people who submit.*ssm:GetParametersByPath/,
    ],
  ] as const) {
    assert.throws(
      () => explainAws(error),
      (thrown) => advice.test(String(thrown)),
    );
  }
});
