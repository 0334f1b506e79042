import "../cloud/buffers.ts";
import { connect } from "../cloud/connect.ts";
import { type Environment, numberVariable } from "../protocol/environment.ts";
import { deadLettersHandler } from "./dead-letters.ts";
import { createServer } from "./server.ts";
import { updatesHandler } from "./updates.ts";
import type { AgeOf } from "./watchdog/ages.ts";
import { watch } from "./watchdog/watch.ts";

/**
 * Creates the functions that Lambda calls, once per container, from its environment. On a laptop the poller that stands
 * in for Lambda (`local/functions/`) calls the same three.
 *
 * @param ageOf by which the watchdog measures silence
 */
export function createHandlers(env: Environment, ageOf?: AgeOf) {
  const cloud = connect(env);
  const redispatchSeconds = numberVariable(env, "PS_REDISPATCH_SECONDS", 60);
  return {
    cloud,
    updates: updatesHandler(createServer(cloud)),
    deadLetters: deadLettersHandler(cloud),
    watchdog: () => watch(cloud, { redispatchSeconds, ...(ageOf && { ageOf }) }),
  };
}
