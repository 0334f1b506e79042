import { get as httpGet, type IncomingMessage } from "node:http";
import { json } from "node:stream/consumers";
import { type AccessKey, tokenOf } from "./keys.ts";

/**
 * Gets a URL of an emulator, with the token that the key of its folder makes, and with an agent of its own: Node's
 * other agents may use the proxy of the environment.
 */
export function get(url: string, key: AccessKey, signal?: AbortSignal): Promise<IncomingMessage> {
  const headers = { authorization: tokenOf(key, "request", url) };
  return new Promise((resolve, reject) => {
    httpGet(url, { agent: false, signal, headers }, resolve).once("error", reject);
  });
}

/** Gets JSON from a URL of an emulator. */
export async function getJson(url: string, key: AccessKey, signal?: AbortSignal): Promise<unknown> {
  return json(await get(url, key, signal));
}
