import { argument } from "./report.ts";

/**
 * A process that loads the bundle named by its first argument and gives its handler one event, as Lambda does at a
 * cold start; prints the milliseconds from the load to the answer.
 */
const [bundle, event] = [argument(0, "BUNDLE"), argument(1, "EVENT")];
const start = performance.now();
const { handler } = await import(bundle);
await handler(JSON.parse(event));
console.log(performance.now() - start);
process.exit(0);
