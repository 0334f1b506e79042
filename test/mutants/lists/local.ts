import type { Mutant } from "../mutant.ts";

/** Mutants of local/. */
export const localMutants: readonly Mutant[] = [
  {
    name: "emulator no origin check",
    file: "local/emulator/server.ts",
    find: "if (headers.origin !== undefined)",
    put: 'if (headers.origin === "")',
    tests: ["test/local/refusals.test.ts"],
  },
  {
    name: "emulator no host check",
    file: "local/emulator/server.ts",
    find: 'if (host !== "127.0.0.1" && host !== "localhost")',
    put: 'if (host === "")',
    tests: ["test/local/refusals.test.ts"],
  },
  {
    name: "emulator no fsync body",
    file: "local/emulator/bodies.ts",
    find: `        await handle.sync();
      } finally`,
    put: "      } finally",
    tests: ["test/local/fsync.test.ts"],
  },
  {
    name: "emulator no fsync folder",
    file: "local/emulator/bodies.ts",
    find: `    await syncFolder(this.#folder);
`,
    put: "",
    tests: ["test/local/fsync.test.ts"],
  },
  {
    name: "emulator synchronous normal",
    file: "local/emulator/store.ts",
    find: "PRAGMA synchronous = FULL;",
    put: "PRAGMA synchronous = NORMAL;",
    tests: ["test/local/fsync.test.ts"],
  },
  {
    name: "emulator synchronous normal for good",
    file: "local/emulator/store.ts",
    find: 'durable ? "FULL" : "NORMAL"',
    put: 'durable ? "NORMAL" : "NORMAL"',
    tests: ["test/local/fsync.test.ts"],
  },
  {
    name: "emulator no crc check",
    file: "local/emulator/body-digest.ts",
    find: "if (expected !== undefined && expected !== crc)",
    put: 'if (expected === "")',
    tests: ["test/contract/embedded.test.ts"],
  },
  {
    name: "emulator fifo no lock",
    file: "local/emulator/sqs-messages.ts",
    find: "lock.receipt IS NOT NULL OR lock.seq < m.seq",
    put: "lock.seq < 0",
    tests: ["test/contract/embedded.test.ts"],
  },
  {
    name: "emulator fifo no lock by a later message",
    file: "local/emulator/sqs-messages.ts",
    find: "lock.receipt IS NOT NULL OR lock.seq < m.seq",
    put: "lock.seq < m.seq",
    tests: ["test/contract/embedded.test.ts"],
  },
  {
    name: "emulator expired handle deletes",
    file: "local/emulator/sqs-messages.ts",
    find: "if (isFifo(queue) && (!message.current || message.visible <= now))",
    put: "if (message.visible < 0)",
    tests: ["test/contract/embedded.test.ts"],
  },
  {
    name: "sweep disabled",
    file: "local/emulator/server.ts",
    find: `  bodies.sweep(namedFiles(store));
`,
    put: `  namedFiles(store);
`,
    tests: ["test/local/kill.test.ts"],
  },
];
