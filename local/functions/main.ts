import { clientConfig, createSqs } from "../../cloud/connect.ts";
import { log } from "../../cloud/log.ts";
import { createHandlers } from "../../functions/handler.ts";
import { ageAwake } from "../../functions/watchdog/ages.ts";
import { numberVariable, variable } from "../../protocol/environment.ts";
import { poll, type Source } from "./poller.ts";
import { repeat } from "./repeat.ts";

/**
 * Runs the functions on a laptop: the Lambda handlers, called by pollers of the `updates` queue and its dead letters, and
 * the watchdog, called by a timer. Ends on SIGTERM, or when the process that started it ends, after the work in hand.
 */
async function main(env: NodeJS.ProcessEnv): Promise<void> {
  const stop = stopSignal();
  const client = createSqs(clientConfig(env));
  const { cloud, updates, deadLetters, watchdog } = createHandlers(env, ageAwake());
  const source = async (url: string, handler: Source["handler"]): Promise<Source> => ({
    client,
    url,
    handler,
    visibilitySeconds: await cloud.queues.leaseSeconds(url),
  });
  const updatesSource = await source(cloud.updates, updates);
  // One at a time: two that find a lost task at once would both send it again.
  const watch = () => watchdog().catch((error: unknown) => log.error("watchdog failed", { error }));
  void repeat(watch, numberVariable(env, "PS_WATCHDOG_SECONDS", 5) * 1000, stop);
  log.info("functions started", { updates: cloud.updates });
  await Promise.all([
    ...Array.from({ length: POLLERS }, () => poll(updatesSource, stop)),
    poll(await source(variable(env, "PS_DEAD_LETTERS_URL"), deadLetters), stop),
  ]);
}

/** Enough that one job's long checkpoint does not delay other actors. */
const POLLERS = 4;

function stopSignal(): AbortSignal {
  const controller = new AbortController();
  for (const event of ["SIGTERM", "SIGINT", "disconnect"] as const) {
    process.once(event, () => controller.abort());
  }
  process.channel?.unref();
  return controller.signal;
}

main(process.env).then(
  () => process.exit(0),
  (error: unknown) => {
    log.error("functions failed", { error });
    process.exit(1);
  },
);
