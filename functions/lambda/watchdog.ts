import { createHandlers } from "../handler.ts";

/** The Lambda that a schedule calls every minute. */
export const handler = createHandlers(process.env).watchdog;
