import type { State } from "../../protocol/records.ts";
import { commandFor, type TargetAddress } from "../targets/address.ts";
import { count, loss } from "./format.ts";

/** The lines that a command ends with: the status of a job, and the commands to continue with. */
export function outcomeLines(state: State, address: Pick<TargetAddress, "flags">): string[] {
  const { job } = state;
  const command = (words: string) => commandFor(address, words);
  const at = `step ${count(state.version ?? 0)} of ${count(state.steps)}`;
  switch (state.status) {
    case "succeeded":
      return [`${job} succeeded: ${resultOf(state)}`, ...nextLines(state, command)];
    case "failed":
      return [
        `${job} failed at ${at}: ${state.reason ?? "the reason is not known"}`,
        `read its logs with: ${command(`logs ${job}`)}`,
        // A reason that names the version to go on from says all.
        ...(state.reason?.includes(`resume ${job} --from`)
          ? []
          : [`resume it with: ${command(`resume ${job}`)}`]),
      ];
    case "stopped":
      return [
        `${job} stopped at ${at}; resume it with: ${command(`resume ${job}`)}`,
        ...(state.reason === null ? [] : [`reason: ${state.reason}`]),
      ];
    default:
      return [
        `${job} was interrupted at ${at}: no process runs it; resume it with: ${command(`resume ${job}`)}`,
      ];
  }
}

function resultOf({ version, loss: last, evaluation }: State): string {
  const heldOut = evaluation ? `, held-out loss ${loss(evaluation.loss)}` : "";
  return `${count(version ?? 0)} steps, loss ${loss(last)}${heldOut}`;
}

function nextLines({ job, checkpoint }: State, command: (words: string) => string): string[] {
  if (checkpoint === null) return [];
  return [
    `sha256 of the parameters: ${checkpoint.sha256}`,
    `get the model with: ${command(`pull ${job} DIRECTORY`)}`,
  ];
}
