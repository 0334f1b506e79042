import { parseArgs } from "node:util";
import { startFakeBatch } from "./server.ts";

/**
 * A fake AWS Batch as a program, for tests whose clients are other processes:
 *
 *     node test/fake-batch/main.ts --port 0 --vcpus 4 --logs DIR -- node dist/worker.js
 *
 * Containers get this process's environment below that of their job. The first line it prints has its address.
 * `POST /_fake/reclaim {"count": 2}` takes hosts away. SIGTERM ends it, and all containers.
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    port: { type: "string", default: "0" },
    vcpus: { type: "string", default: "4" },
    logs: { type: "string" },
    "second-ms": { type: "string", default: "1000" },
  },
});
const [program, ...args] = positionals;
if (program === undefined || values.logs === undefined) {
  console.error("usage: main.ts --logs DIR [--port N] [--vcpus N] [--second-ms MS] -- PROGRAM [ARGUMENT...]");
  process.exit(2);
}
const { endpoint, close } = await startFakeBatch(
  {
    command: [program, ...args],
    environment: Object.fromEntries(Object.entries(process.env).map(([name, value]) => [name, value ?? ""])),
    logs: values.logs,
    vcpus: Number(values.vcpus),
    secondMs: Number(values["second-ms"]),
  },
  Number(values.port),
);
console.log(JSON.stringify({ endpoint }));
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.once(signal, () => void close().then(() => process.exit(0)));
}
