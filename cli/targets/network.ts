/** True for an error of the network, by which a service was not reached at all. */
export function isUnreachable(error: unknown): boolean {
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
  return typeof code === "string" && /^(ECONN|ENOTFOUND|EAI_|ETIMEDOUT|EHOST)/.test(code);
}
