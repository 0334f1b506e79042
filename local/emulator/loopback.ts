import { get as httpGet, type IncomingMessage } from "node:http";
import { json } from "node:stream/consumers";

/** Gets a URL of this machine, with an agent of its own: Node's other agents may use the proxy of the environment. */
export function get(url: string, signal?: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    httpGet(url, { agent: false, signal }, resolve).once("error", reject);
  });
}

/** Gets JSON from a URL of this machine. */
export async function getJson(url: string, signal?: AbortSignal): Promise<unknown> {
  return json(await get(url, signal));
}
