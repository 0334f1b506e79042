import { fork } from "node:child_process";
import { z } from "zod";
import { Unrecoverable } from "../../protocol/errors.ts";
import type { JobSpec } from "../../protocol/job.ts";
import { program } from "../targets/paths.ts";

const backendSchema = z.object({
  name: z.enum(["tensorflow", "wasm"]),
  device: z.enum(["cpu", "gpu"]),
  version: z.string(),
  flags: z.record(z.string(), z.string()),
  /** Why this is not the native library, when any backend was wanted. */
  note: z.string().optional(),
});
export type ProbedBackend = z.infer<typeof backendSchema>;

const answerSchema = z.union([z.object({ backend: backendSchema }), z.object({ error: z.string() })]);
export type ProbeAnswer = z.infer<typeof answerSchema>;

const STDERR_KEPT = 4000;

/**
 * Finds out which backend and device the workers of this machine get, by loading it in a process of its own: a library that
 * does not suit the processor takes only that process with it.
 *
 * @throws Unrecoverable with the reason when there is none
 */
export async function probeBackend(
  wanted: JobSpec["backend"],
  device: JobSpec["device"] = "auto",
): Promise<ProbedBackend> {
  const child = fork(program("backend-probe"), [wanted, device], {
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  let answer: unknown;
  let said = "";
  child.on("message", (message) => {
    answer = message;
  });
  child.stderr?.on("data", (text: Buffer) => {
    said = (said + text).slice(-STDERR_KEPT);
  });
  const end = await new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => resolve(signal ?? `exit status ${code}`));
  });
  const parsed = answerSchema.safeParse(answer).data;
  if (parsed && "backend" in parsed) return parsed.backend;
  if (parsed) throw new Unrecoverable(parsed.error);
  throw new Unrecoverable(`backend "${wanted}" could not be loaded (${end}): ${said.trim()}`);
}
