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
  /** The reason why this is not the native library, when any backend was allowed. */
  note: z.string().optional(),
});
export type ProbedBackend = z.infer<typeof backendSchema>;

const answerSchema = z.union([z.object({ backend: backendSchema }), z.object({ error: z.string() })]);
export type ProbeAnswer = z.infer<typeof answerSchema>;

const MAX_STDERR_LENGTH = 4000;

/**
 * Finds the backend and device that workers of this machine get. A process of its own loads it, since a library that does
 * not suit the processor crashes the process.
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
  let stderr = "";
  child.on("message", (message) => {
    answer = message;
  });
  child.stderr?.on("data", (text: Buffer) => {
    stderr = (stderr + text).slice(-MAX_STDERR_LENGTH);
  });
  const end = await new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => resolve(signal ?? `exit status ${code}`));
  });
  const parsed = answerSchema.safeParse(answer).data;
  if (parsed && "backend" in parsed) return parsed.backend;
  if (parsed) throw new Unrecoverable(parsed.error);
  throw new Unrecoverable(`backend "${wanted}" could not be loaded (${end}): ${stderr.trim()}`);
}
