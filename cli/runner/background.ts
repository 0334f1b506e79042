import { command } from "../targets/address.ts";
import { exitCodes } from "../terminal/exit.ts";
import { say } from "../terminal/print.ts";
import { detach } from "./detach.ts";

/** Runs this command's job in a process that stays when the command has ended. Returns the exit code. */
export async function inBackground(home: string, job: string, args: readonly string[]): Promise<number> {
  const { log, code, said } = await detach(home, job, args);
  if (code !== null) {
    (code === exitCodes.succeeded ? process.stdout : process.stderr).write(said);
    return code;
  }
  say([
    `${job} runs in the background, with its output in ${log}`,
    `watch it with: ${command(`watch ${job}`)}, end it with: ${command(`cancel ${job}`)}`,
  ]);
  return exitCodes.succeeded;
}
