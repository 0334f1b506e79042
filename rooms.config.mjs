/**
 * The rooms of this repository and what each may import, checked by `npm run rooms` (dependency-cruiser). It fails
 * where a room imports anything else, where files import each other in a circle, and where no program needs a file.
 *
 * A name stands for a folder or a file. Every room may import itself, Node's own modules and zod.
 */
const rooms = {
  protocol: [],
  wasm: ["protocol/errors.ts"],
  cloud: ["protocol", "@aws-sdk", "lru-cache", "p-limit"],
  "ml/random": ["wasm"],
  "ml/tensorflow": ["ml-protocol", "scripts/native.mjs", "@tensorflow", "pbf"],
  "ml/tokenizers": ["ml-protocol", "@huggingface/tokenizers", "tinyqueue"],
  "ml/data": ["ml-protocol", "ml/huggingface", "ml/random", "ml/tokenizers", "hyparquet"],
  "ml/models": [
    "ml-protocol",
    "ml/data",
    "ml/huggingface",
    "ml/random",
    "ml/tensorflow",
    "@tensorflow",
    "lru-cache",
  ],
  "ml/huggingface": ["ml-protocol", "ml/models", "ml/tokenizers"],
  "ml/inference": [
    "ml-protocol",
    "wasm",
    "ml/data",
    "ml/huggingface",
    "ml/models",
    "ml/random",
    "ml/tensorflow",
    "ml/tokenizers",
    "@tensorflow",
  ],
  functions: ["protocol", "wasm", "cloud", "@types/aws-lambda", "lru-cache", "p-limit"],
  worker: ["protocol", "cloud", "ml", "scripts/cache-directory.mjs", "@tensorflow"],
  local: [
    "protocol",
    "cloud",
    "functions/handler.ts",
    "functions/watchdog/ages.ts",
    "@aws-sdk/client-sqs",
    "@types/aws-lambda",
    "lru-cache",
  ],
  cli: [
    "protocol",
    "cloud",
    "ml",
    "local/emulator/client.ts",
    "local/log-tail.ts",
    "worker/evaluation.ts",
    "scripts/cache-directory.mjs",
    "scripts/native.mjs",
    "commander",
    "jsonc-parser",
    "@aws-sdk",
  ],
  infra: ["protocol", "cloud", "aws-cdk-lib", "cdk-nag", "constructs"],
  scripts: ["protocol", "esbuild"],
  examples: [],
};

/** The files of the protocol that the language-model library may import: nothing of jobs, queues or S3. */
const groups = {
  "ml-protocol": [
    "protocol/data-spec.ts",
    "protocol/digest.ts",
    "protocol/errors.ts",
    "protocol/file-format.ts",
    "protocol/freeze.ts",
    "protocol/json.ts",
    "protocol/json-text.ts",
    "protocol/layout.ts",
    "protocol/make-folder.ts",
    "protocol/missing.ts",
    "protocol/model-spec.ts",
    "protocol/parse.ts",
    "protocol/problems.ts",
    "protocol/required.ts",
    "protocol/safetensors.ts",
    "protocol/temporary-folder.ts",
  ],
};

/** Files that are started, or read by a program of somebody else, and so imported by none of ours. */
const programs = [
  "^cli/main\\.ts$",
  "^cli/submission/backend-probe\\.ts$",
  "^functions/lambda/",
  "^infra/app\\.ts$",
  "^local/(emulator|functions)/main\\.ts$",
  "^ml/.*-thread\\.ts$",
  "^worker/(main|worker-thread|module-program)\\.ts$",
  "^worker/image/",
  "^(scripts|bench|examples|test)/",
];

const everyRoom = Object.keys(rooms).map((room) => room.split("/")[0]);
const anyRoom = `^(${[...new Set(everyRoom), "bench", "test"].join("|")})/`;

const pathOf = (/** @type {string} */ name) => {
  if (name in rooms || name === "ml") return `^${name}/`;
  const escaped = name.replaceAll(".", "\\.");
  return /\.m?ts$|\.mjs$/.test(name) ? `^${escaped}$` : `^(node_modules/)?${escaped}(/|$)`;
};
const pathsOf = (/** @type {string} */ name) => (groups[name] ?? [name]).map(pathOf);

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [
    ...Object.entries(rooms).flatMap(([room, allowed]) => {
      const name = `what-${room.replace("/", "-")}-may-import`;
      const pathNot = [room, "zod", ...allowed].flatMap(pathsOf);
      const from = { path: pathOf(room) };
      return [
        { name, severity: "error", from, to: { path: anyRoom, pathNot } },
        { name, severity: "error", from, to: { path: "^node_modules/", pathNot } },
      ];
    }),
    {
      name: "what-bench-may-import-of-the-tests",
      severity: "error",
      from: { path: "^bench/" },
      to: { path: "^test/", pathNot: "^test/support/" },
    },
    { name: "no-circle", severity: "error", from: {}, to: { circular: true } },
    {
      name: "needed-by-no-program",
      severity: "error",
      from: { path: programs },
      to: { path: anyRoom, pathNot: programs, reachable: false },
    },
    {
      name: "not-found",
      severity: "error",
      from: {},
      to: { couldNotResolve: true, pathNot: "^\\.\\./dist/" },
    },
  ],
  options: {
    parser: "swc",
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^(dist|cdk\\.out)/|^(?!node_modules/).*\\.d\\.m?ts$" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "types"] },
  },
};
