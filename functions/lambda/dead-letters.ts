import { createHandlers } from "../handler.ts";

/** The Lambda behind the dead-letter queue. */
export const handler = createHandlers(process.env).deadLetters;
