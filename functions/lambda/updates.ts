import { createHandlers } from "../handler.ts";

/** The Lambda behind the `updates` queue. */
export const handler = createHandlers(process.env).updates;
