/** The bytes of a JSON object, with line breaks so that people can read it. */
export const encodeJson = (value: object): Uint8Array =>
  new TextEncoder().encode(`${JSON.stringify(value, null, 1)}\n`);
