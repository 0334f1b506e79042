import type { Mutant } from "../mutant.ts";

/** Mutants of cloud/. */
export const cloudMutants: readonly Mutant[] = [
  {
    name: "create without IfNoneMatch",
    file: "cloud/store.ts",
    find: 'Body: body, IfNoneMatch: "*" }',
    put: "Body: body }",
    tests: ["test/cloud/store.test.ts"],
  },
  {
    name: "replace without IfMatch",
    file: "cloud/store.ts",
    find: "Body: body, IfMatch: etag }",
    put: "Body: body }",
    tests: ["test/cloud/store.test.ts"],
  },
  {
    name: "multipart without IfNoneMatch",
    file: "cloud/upload.ts",
    find: 'MultipartUpload: { Parts }, IfNoneMatch: "*" }',
    put: "MultipartUpload: { Parts } }",
    tests: ["test/cloud/store.test.ts", "test/cloud/upload.test.ts"],
  },
  {
    name: "removeGradients no second look",
    file: "cloud/close.ts",
    find: "if (isEnded(state) && state.attempt === attempt) await",
    put: "if (state !== null) await",
    tests: ["test/functions/close.test.ts"],
  },
  {
    name: "checkpoint shard unverified",
    file: "cloud/open-format.ts",
    find: 'if (hash.digest("hex") !== manifest.shards[shard]?.parameters) {',
    put: "if (shard < 0) {",
    tests: ["test/cloud/open-format.test.ts"],
  },
  {
    name: "checkpoint frozen unverified",
    file: "cloud/open-format.ts",
    find: 'if (offset === 4 * frozen.parameters && hash.digest("hex") !== frozen.sha256) {',
    put: "if (offset < 0) {",
    tests: ["test/cloud/open-format.test.ts"],
  },
];
