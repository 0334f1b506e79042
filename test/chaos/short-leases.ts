import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SetQueueAttributesCommand, SQSClient } from "@aws-sdk/client-sqs";
import { clientConfig } from "../../cloud/connect.ts";
import type { JobSpec } from "../../protocol/job.ts";
import { type Lab, openLab, requireSucceeded } from "../support/lab.ts";
import { supervise } from "./supervised.ts";

/** A lab with leases so short that a killed process is missed within a second or two. */
export async function openTrials(folder?: string): Promise<Lab> {
  const lab = await openLab(undefined, folder);
  const sqs = new SQSClient(clientConfig(lab.target.environment));
  await shortLease(sqs, lab.cloud.updates);
  const shorten = async (job: string, attempt: number) =>
    shortLease(sqs, (await lab.cloud.queues.findTasks(job, attempt)) ?? "");
  return {
    ...lab,
    async submit(spec, dataset) {
      const state = await lab.submit(spec, dataset);
      await shorten(spec.name, state.attempt);
      return state;
    },
    async resume(state, steps) {
      const resumed = await lab.resume(state, steps);
      await shorten(state.job, resumed.attempt);
      return resumed;
    },
    async close() {
      sqs.destroy();
      await lab.close();
    },
  };
}

async function shortLease(sqs: SQSClient, QueueUrl: string): Promise<void> {
  await sqs.send(new SetQueueAttributesCommand({ QueueUrl, Attributes: { VisibilityTimeout: "1" } }));
}

/** Runs a job to its end without disturbing it. @returns the digest of its last version */
export async function undisturbed(lab: Lab, spec: JobSpec): Promise<string> {
  const { name } = spec;
  await lab.submit(spec);
  const processes = (["functions", "worker", "worker"] as const).map((role, i) =>
    supervise(() => lab.start(role, { job: name, name: `${role}-${i}` })),
  );
  try {
    requireSucceeded(await lab.ended(name));
    return await lab.digest(name, spec.steps);
  } finally {
    await Promise.all(processes.map((process) => process.end()));
  }
}

/** Kills the emulator that a lab has started, and starts it again. */
export async function killEmulator({ target }: Lab): Promise<void> {
  const { pid } = JSON.parse(readFileSync(join(target.home, "emulator.json"), "utf8"));
  process.kill(pid, "SIGKILL");
  await target.revive();
}
