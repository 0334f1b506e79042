/**
 * A process that loads the bundle named by its first argument and gives its handler one event, as Lambda does at a
 * cold start; prints the milliseconds from the load to the answer.
 */
const [bundle = "", event = "{}"] = process.argv.slice(2);
const start = performance.now();
const { handler } = (await import(bundle)) as { handler(event: unknown): Promise<unknown> };
await handler(JSON.parse(event));
console.log(performance.now() - start);
process.exit(0);
