import { setFlagsFromString } from "node:v8";

/**
 * Imported for its effect by every process that moves tensors. V8 otherwise runs a full collection for every 64 MB
 * of buffers that come and go, whatever the heap: half of a step's time on a model of a million parameters. With
 * this flag buffers count towards the heap's own limit, and the cheap collections free them.
 */
setFlagsFromString("--external-memory-accounted-in-global-limit");
