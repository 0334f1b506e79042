import "../cloud/buffers.ts";
import { connect } from "../cloud/connect.ts";
import { type Environment, numberVariable } from "../protocol/environment.ts";
import { deadLettersHandler } from "./dead-letters.ts";
import { createServer } from "./server.ts";
import { updatesHandler } from "./updates.ts";
import { watch } from "./watchdog/watch.ts";

/**
 * The functions' edge: what Lambda calls, made once per container from its environment. The same three are called
 * by the poller that stands in for Lambda on a laptop (`local/functions/`).
 */
export function createHandlers(env: Environment) {
  const cloud = connect(env);
  const redispatchSeconds = numberVariable(env, "PS_REDISPATCH_SECONDS", 60);
  return {
    cloud,
    updates: updatesHandler(createServer(cloud)),
    deadLetters: deadLettersHandler(cloud),
    watchdog: () => watch(cloud, redispatchSeconds),
  };
}
